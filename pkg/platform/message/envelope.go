package message

// appendEnvelope appends the IMAP ENVELOPE (RFC 3501 section 7.4.2) of a
// message with header h: (date subject from sender reply-to to cc bcc
// in-reply-to message-id). Values are as in the message, unfolded only: the
// date is not normalised and encoded words stay encoded. room is scratch space.
func appendEnvelope(dst []byte, h Header, lim Limits, room *[]Address) []byte {
	dst = append(dst, '(')
	dst = AppendNString(dst, h.Get("Date"))
	dst = append(dst, ' ')
	dst = AppendNString(dst, h.Get("Subject"))
	dst = append(dst, ' ')
	start := len(dst)
	dst = appendAddresses(dst, h, "From", lim, room)
	end := len(dst)
	for _, name := range [...]string{"Sender", "Reply-To"} {
		dst = append(dst, ' ')
		at := len(dst)
		// RFC 3501: absent or empty means the From value.
		if dst = appendAddresses(dst, h, name, lim, room); string(dst[at:]) == "NIL" {
			dst = append(dst[:at], dst[start:end]...)
		}
	}
	for _, name := range [...]string{"To", "Cc", "Bcc"} {
		dst = appendAddresses(append(dst, ' '), h, name, lim, room)
	}
	dst = append(dst, ' ')
	dst = AppendNString(dst, h.Get("In-Reply-To"))
	dst = append(dst, ' ')
	dst = AppendNString(dst, h.Get("Message-ID"))
	return append(dst, ')')
}

// appendAddresses appends the addresses of all fields called name as one list.
func appendAddresses(dst []byte, h Header, name string, lim Limits, room *[]Address) []byte {
	open := false
	left := lim.Addresses
	for f := range h.All(name) {
		*room = parseAddresses(f.Value(), left, *room)
		for _, a := range *room {
			if !open {
				dst = append(dst, '(')
				open = true
			}
			dst = appendAddress(dst, a)
			left--
		}
	}
	if !open {
		return append(dst, "NIL"...)
	}
	return append(dst, ')')
}

// appendAddress writes (name route mailbox host). NIL as host marks the ends
// of a group, so a mailbox without a host gets an empty string.
func appendAddress(dst []byte, a Address) []byte {
	dst = append(dst, '(')
	switch a.Kind {
	case GroupStart:
		dst = append(dst, "NIL NIL "...)
		dst = AppendString(dst, a.Mailbox)
		dst = append(dst, " NIL"...)
	case GroupEnd:
		dst = append(dst, "NIL NIL NIL NIL"...)
	default:
		dst = AppendNString(dst, a.Name)
		dst = append(dst, ' ')
		dst = AppendNString(dst, a.Route)
		dst = append(dst, ' ')
		dst = AppendString(dst, a.Mailbox)
		dst = append(dst, ' ')
		dst = AppendString(dst, a.Host)
	}
	return append(dst, ')')
}
