// Package interop runs a private suite against real programs from Debian's
// packages: Postfix, Dovecot, swaks, msmtp, mpop, curl, mbsync, offlineimap, mutt,
// fetchmail, Python's libraries, gsasl, PostgreSQL, MariaDB, SQLite, OpenLDAP,
// Redis, systemd-journald, fail2ban, Exim, OpenSMTPD.
// Everything listens on loopback or below a temporary folder and is started
// and stopped by the test. Build tag: interop; `make interop` runs it.
//
// Reading order: setup_test.go, smtp_test.go (programs that send),
// read_test.go (programs that read), sync_test.go, cached_test.go and
// dsync_test.go (programs that keep a copy), imaplib_test.go,
// postfix_test.go, peers_test.go, exim_mta_test.go and opensmtpd_test.go (other
// MTAs, both ways), callers_test.go (programs that call sendmail, and that
// aliases call), postfixsockets_test.go, dovecot_test.go,
// coexist_test.go (Dovecot and our store on one Maildir at a time),
// layout_test.go (trees and compressed messages that Dovecot made),
// search_test.go (the same searches by both),
// schemes_test.go (stored passwords, with doveadm and crypt(3)),
// sqlserver_test.go, sql_test.go, sqlfile_test.go, sqlbouncer_test.go and
// sqlauthd_test.go (databases of users), hosting_test.go (Postfix's files for
// many domains),
// authority_test.go, ldap_test.go and ldapsuite_test.go (slapd; Dovecot reading the same file),
// clients_test.go (mechanisms in mail clients), external_test.go (client
// certificates), helpers_test.go (PAM, checkpassword), redis_test.go,
// fail2ban_test.go.
package interop
