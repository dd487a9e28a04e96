// Package mechanisms decides which login mechanisms may be used, by Postfix's
// lists of names and security options. Listeners ask it for their clients, and
// deliveries for the hosts that want a login.
package mechanisms
