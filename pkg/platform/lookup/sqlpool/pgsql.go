package sqlpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// maxMessage caps one message of a PostgreSQL server: a row at its largest,
// and room for an error with all its fields.
const maxMessage = 1 << 20

// pgDriver speaks to PostgreSQL. Parameters and results are in text form, as
// Dovecot has them through libpq.
type pgDriver struct{ cfg Config }

func (*pgDriver) placeholder(n int) string { return "$" + strconv.Itoa(n) }

func (d *pgDriver) connect(ctx context.Context, a address) (session, error) {
	password, err := d.cfg.secret()
	if err != nil {
		return nil, err
	}
	enc, err := d.cfg.TLS.encrypt(a)
	if err != nil {
		return nil, err
	}
	// The text fixes what the environment could set otherwise.
	c, err := pgconn.ParseConfig("host=localhost port=5432 user=x password=x dbname=x passfile='' sslmode=disable target_session_attrs=any")
	if err != nil {
		return nil, err
	}
	c.Host, c.Port = a.host, a.port
	if a.sock != "" {
		c.Host, c.Port = a.sock, 0
	}
	c.Database, c.User, c.Password = d.cfg.DBName, d.cfg.User, password
	c.TLSConfig, c.Fallbacks = enc.config, nil
	if enc.plainToo {
		c.Fallbacks = []*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}
	}
	// Only a server that proved who it is may ask for the password itself.
	if !enc.mustCheck && !a.here() {
		c.RequireAuth = "!password"
	}
	c.MaxProtocolMessageBodyLen = maxMessage
	c.RuntimeParams = map[string]string{
		"application_name": "postcote", "client_encoding": "UTF8", "standard_conforming_strings": "on",
	}
	c.DialFunc = dialer(a)
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	conn, err := pgconn.ConnectConfig(ctx, c)
	if err != nil {
		return nil, connectError(err)
	}
	return &pgSession{conn: conn, direct: d.cfg.PgBouncer, known: map[*Statement]*pgconn.StatementDescription{}}, nil
}

// connectError is the reason without what pgconn puts before it: user,
// database and address, which our callers name in their own way.
func connectError(err error) error {
	var (
		pg *pgconn.PgError
		op *net.OpError
		c  *pgconn.ConnectError
	)
	switch {
	case errors.As(err, &pg):
		return pg
	case errors.As(err, &op):
		return op
	case errors.As(err, &c) && errors.Unwrap(c.Unwrap()) != nil:
		return errors.Unwrap(c.Unwrap())
	}
	return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
}

// judge goes by the SQLSTATE.
func (*pgDriver) judge(err error) verdict {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return lost
	}
	switch {
	case pg.Code == "25006": // read_only_sql_transaction
		return elsewhere
	case pg.Code == "26000", pg.Code == "0A000" && strings.Contains(pg.Routine, "RevalidateCachedQuery"):
		return stale // the statement is unknown to this server, or its columns changed
	case strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "08") && pg.Code != "08P01":
		return lost // shutdown, out of resources, connection
	}
	return answered
}

func (*pgDriver) untranslatable(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "22P05" // untranslatable_character
}

// public: messages of these classes name tables, columns and roles, others
// may quote values.
func (*pgDriver) public(err error) string {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return "connection failed"
	}
	return publicState(pg.Code, pg.Message)
}

func publicState(state, message string) string {
	if len(state) >= 2 && slices.Contains([]string{"08", "25", "28", "3D", "3F", "42"}, state[:2]) {
		return fmt.Sprintf("%s (SQLSTATE %s)", message, state)
	}
	return fmt.Sprintf("the statement failed with SQLSTATE %s; the server's log has the text, which could quote the password", state)
}

// pgSession is a connection to PostgreSQL.
type pgSession struct {
	conn   *pgconn.PgConn
	direct bool // text and parameters in one message, nothing prepared
	known  map[*Statement]*pgconn.StatementDescription
}

func (s *pgSession) usable() bool { return !s.conn.IsClosed() && s.conn.TxStatus() == 'I' }

// close says goodbye, but does not wait for a server that hangs.
func (s *pgSession) close() {
	if s.conn.IsClosed() {
		return
	}
	_ = s.conn.Conn().SetDeadline(time.Now().Add(closeWait))
	_ = s.conn.Close(context.Background())
}

func (s *pgSession) query(ctx context.Context, st *Statement, args []string, row func(Row) bool) error {
	res, err := s.start(ctx, st, args)
	if err != nil {
		return err
	}
	err = pgRows(res, row)
	if _, cerr := res.Close(); err == nil {
		err = cerr
	}
	return err
}

// start sends a statement and waits for the columns of the answer.
func (s *pgSession) start(ctx context.Context, st *Statement, args []string) (*pgconn.ResultReader, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	if s.direct {
		return s.startDirect(ctx, st, values)
	}
	d, err := s.prepare(ctx, st)
	if err != nil {
		return nil, err
	}
	return s.conn.ExecStatement(ctx, d, values, nil, nil), nil
}

func (s *pgSession) startDirect(ctx context.Context, st *Statement, values [][]byte) (*pgconn.ResultReader, error) {
	for range len(values) + 1 {
		res := s.conn.ExecParams(ctx, st.text, values, st.paramTypes(), nil, nil)
		if res.FieldDescriptions() != nil {
			return res, nil
		}
		// No columns: an update that is done, or an error.
		tag, err := res.Close()
		if err == nil {
			return nil, noColumns{tag.RowsAffected()}
		}
		if !st.learn(err) {
			return nil, err
		}
	}
	return nil, unusable("the types of the parameters cannot be told")
}

// prepare returns the statement as the server knows it on this connection.
func (s *pgSession) prepare(ctx context.Context, st *Statement) (*pgconn.StatementDescription, error) {
	d := s.known[st]
	for d == nil {
		name := "" // forgotten at the next one
		if len(s.known) < maxStatements {
			name = "q" + strconv.Itoa(len(s.known)+1)
		}
		var err error
		d, err = s.conn.Prepare(ctx, name, st.text, st.paramTypes())
		switch {
		case err != nil && st.learn(err):
			d = nil
		case err != nil:
			return nil, pooled(err)
		case name != "":
			s.known[st] = d
		}
	}
	return d, st.checkArgs(len(d.ParamOIDs))
}

// pooled says what to do about statements that others have prepared.
func pooled(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "42P05" { // duplicate_prepared_statement
		return fmt.Errorf("%w: if a pooler hands out the connections, set pgbouncer", err)
	}
	return err
}

// oidText is the type text.
const oidText = 25

// paramTypes are the types to declare; 0 leaves one to the server.
func (s *Statement) paramTypes() []uint32 {
	if t := s.types.Load(); t != nil {
		return *t
	}
	return nil
}

// learn declares a parameter to be text whose type the server could not tell
// from where it stands, as in CONCAT($1): a quoted constant would be text there.
// It reports whether that was the error.
func (s *Statement) learn(err error) bool {
	var pg *pgconn.PgError
	if !errors.As(err, &pg) || pg.Code != "42P18" { // indeterminate_datatype
		return false
	}
	m := regexp.MustCompile(`\$(\d{1,4})`).FindStringSubmatch(pg.Message)
	if m == nil {
		return false
	}
	n, _ := strconv.Atoi(m[1])
	if n < 1 || n > s.args {
		return false
	}
	types := make([]uint32, s.args)
	copy(types, s.paramTypes())
	if types[n-1] == oidText {
		return false
	}
	types[n-1] = oidText
	s.types.Store(&types)
	return true
}

// pgRows hands on the rows of an answer.
func pgRows(res *pgconn.ResultReader, row func(Row) bool) error {
	fields := res.FieldDescriptions()
	columns := make([]string, len(fields))
	for i, f := range fields {
		columns[i] = f.Name
	}
	r, err := newReader(columns)
	if err != nil {
		return err
	}
	for i, f := range fields {
		if kind, bad := pgNoText(f.DataTypeOID); bad {
			return r.wrongType(i, kind)
		}
	}
	for res.NextRow() {
		r.begin()
		for _, v := range res.Values() {
			if v == nil {
				r.null()
			} else if err := r.text(v); err != nil {
				return err
			}
		}
		if !row(r.row()) {
			return nil
		}
	}
	return nil
}

// pgNoText names the types whose text form is no plain value.
func pgNoText(oid uint32) (kind string, bad bool) {
	kind, bad = map[uint32]string{
		17: "bytea", 114: "json", 142: "xml", 3802: "jsonb", 2249: "record",
		199: "json[]", 1000: "boolean[]", 1001: "bytea[]", 1002: "char[]", 1003: "name[]", 1005: "smallint[]", 1007: "integer[]",
		1009: "text[]", 1014: "char[]", 1015: "varchar[]", 1016: "bigint[]", 1231: "numeric[]", 2287: "record[]", 3807: "jsonb[]",
		600: "point", 601: "lseg", 602: "path", 603: "box", 604: "polygon", 628: "line", 718: "circle",
	}[oid]
	return kind, bad
}

// noColumns is how startDirect reports that there is nothing to read.
type noColumns struct{ rows int64 }

func (noColumns) Error() string { return "the statement returns no columns" }

func (s *pgSession) exec(ctx context.Context, st *Statement, args []string, want func(int64) error) error {
	if err := s.command(ctx, "BEGIN"); err != nil {
		return err
	}
	n, err := s.change(ctx, st, args)
	if err == nil {
		err = want(n)
	}
	if err != nil {
		if rerr := s.command(ctx, "ROLLBACK"); rerr != nil {
			s.close()
		}
		return err
	}
	return s.command(ctx, "COMMIT")
}

func (s *pgSession) change(ctx context.Context, st *Statement, args []string) (int64, error) {
	res, err := s.start(ctx, st, args)
	var none noColumns
	if errors.As(err, &none) {
		return none.rows, nil
	}
	if err != nil {
		return 0, err
	}
	tag, err := res.Close()
	return tag.RowsAffected(), err
}

func (s *pgSession) command(ctx context.Context, text string) error {
	_, err := s.conn.Exec(ctx, text).ReadAll()
	return err
}
