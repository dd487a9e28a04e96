package server

// Replies are the texts of the engine, so that a listener can sound like the
// server it replaces. Start from DefaultReplies.
type Replies struct {
	Mail  Reply // MAIL accepted
	Rcpt  Reply // RCPT accepted
	Data  Reply // go ahead
	Done  Reply // message accepted
	Reset Reply
	Noop  Reply
	Vrfy  Reply
	Help  Reply
	Quit  Reply

	Unknown      Reply // no such command
	NeedHelo     Reply
	NeedMail     Reply
	NeedRcpt     Reply // DATA or BDAT without MAIL
	NestedMail   Reply
	NoRcpts      Reply // DATA or BDAT without a recipient that was accepted
	MailInChunks Reply // MAIL while the rest of a refused message is awaited
	TooManyRcpts Reply
	BadSender    Reply
	BadRcpt      Reply
	NullRcpt     Reply
	BadOption    Reply // the parameter is added to a text that ends in a blank
	TooBig       Reply // SIZE= of MAIL
	DataTooBig   Reply // content after DATA, or of several chunks
	ChunkTooBig  Reply
	EmptyChunk   Reply // and not the last one
	LineTooLong  Reply
	BadLine      Reply // NUL, or 8-bit without SMTPUTF8
	BareLF       Reply
	VrfyOff      Reply
	Internal     Reply // a hook did not decide
}

// DefaultReplies returns Postfix's texts.
func DefaultReplies() Replies {
	return Replies{
		Mail:  MakeReply(250, 2, 1, 0, "Ok"),
		Rcpt:  MakeReply(250, 2, 1, 5, "Ok"),
		Data:  Reply{Code: 354, Text: "End data with <CR><LF>.<CR><LF>"},
		Done:  MakeReply(250, 2, 0, 0, "Ok"),
		Reset: MakeReply(250, 2, 0, 0, "Ok"),
		Noop:  MakeReply(250, 2, 0, 0, "Ok"),
		Vrfy:  MakeReply(252, 2, 0, 0, "Try RCPT"),
		Help:  MakeReply(214, 2, 0, 0, "https://www.rfc-editor.org/rfc/rfc5321"),
		Quit:  MakeReply(221, 2, 0, 0, "Bye"),

		Unknown:      MakeReply(500, 5, 5, 2, "Error: command not recognized"),
		NeedHelo:     MakeReply(503, 5, 5, 1, "Error: send HELO/EHLO first"),
		NeedMail:     MakeReply(503, 5, 5, 1, "Error: need MAIL command"),
		NeedRcpt:     MakeReply(503, 5, 5, 1, "Error: need RCPT command"),
		NestedMail:   MakeReply(503, 5, 5, 1, "Error: nested MAIL command"),
		NoRcpts:      MakeReply(554, 5, 5, 1, "Error: no valid recipients"),
		TooManyRcpts: MakeReply(452, 4, 5, 3, "Error: too many recipients"),
		BadSender:    MakeReply(501, 5, 1, 7, "Bad sender address syntax"),
		BadRcpt:      MakeReply(501, 5, 1, 3, "Bad recipient address syntax"),
		NullRcpt:     MakeReply(501, 5, 1, 3, "Bad recipient address syntax"),
		BadOption:    MakeReply(555, 5, 5, 4, "Unsupported option: "),
		MailInChunks: MakeReply(503, 5, 5, 1, "Error: MAIL after BDAT"),
		TooBig:       MakeReply(552, 5, 3, 4, "Message size exceeds fixed limit"),
		DataTooBig:   MakeReply(552, 5, 3, 4, "Error: message file too big"),
		ChunkTooBig:  MakeReply(552, 5, 3, 4, "Chunk exceeds message size limit"),
		EmptyChunk:   MakeReply(551, 5, 7, 1, "Null BDAT request"),
		LineTooLong:  MakeReply(500, 5, 5, 2, "Error: command line too long"),
		BadLine:      MakeReply(500, 5, 5, 2, "Error: bad UTF-8 syntax"),
		VrfyOff:      MakeReply(502, 5, 5, 1, "VRFY command is disabled"),
		BareLF:       MakeReply(550, 5, 5, 2, "Error: bare <LF> received"),
		Internal:     MakeReply(451, 4, 3, 0, "Error: temporary internal error"),
	}
}
