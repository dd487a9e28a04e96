package sqlpool

import (
	"context"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/go-sql-driver/mysql"
)

// mysqlDriver speaks to MySQL and MariaDB.
type mysqlDriver struct{ cfg Config }

func (*mysqlDriver) placeholder(int) string { return "?" }

// mysqlConn is what the driver's connections can do.
type mysqlConn interface {
	sqldriver.Conn
	sqldriver.ConnPrepareContext
	sqldriver.ExecerContext
	sqldriver.Validator
}

func (d *mysqlDriver) connect(ctx context.Context, a address) (session, error) {
	password, err := d.cfg.secret()
	if err != nil {
		return nil, err
	}
	enc, err := d.cfg.TLS.encrypt(a)
	if err != nil {
		return nil, err
	}
	c := mysql.NewConfig()
	c.User, c.Passwd, c.DBName = d.cfg.User, password, d.cfg.DBName
	c.Net, c.Addr = a.network(), a.target()
	c.TLS, c.AllowFallbackToPlaintext = enc.config, enc.plainToo
	c.Logger = &mysql.NopLogger{}
	c.ClientFoundRows = true // a password set to what it was is a success
	c.WriteTimeout = d.cfg.ConnectTimeout.Std()
	// Only a server that proved who it is may ask for the password itself.
	c.AllowCleartextPasswords = enc.mustCheck || a.sock != ""
	c.DialFunc = dialer(a)
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	conn, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	m, ok := conn.(mysqlConn)
	if !ok {
		_ = conn.Close()
		return nil, errors.New("the driver lacks prepared statements")
	}
	return &mysqlSession{conn: m, known: map[*Statement]sqldriver.Stmt{}}, nil
}

// judge goes by the error number.
func (*mysqlDriver) judge(err error) verdict {
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return lost
	}
	switch my.Number {
	case 1290, 1792, 1836, 3572: // read-only server or transaction
		return elsewhere
	case 1243, 1615: // unknown statement, has to be prepared again
		return stale
	case 1040, 1053, 1129, 1158, 1159, 1160, 1161, 1203, 1226, 1927: // full, shutting down, network, killed
		return lost
	}
	return answered
}

// untranslatable: MariaDB calls it an illegal mix of collations when a text has
// characters that the column's encoding lacks.
func (*mysqlDriver) untranslatable(err error) bool {
	var my *mysql.MySQLError
	return errors.As(err, &my) && (my.Number == 1267 || my.Number == 1270 || my.Number == 1271)
}

func (*mysqlDriver) public(err error) string {
	var my *mysql.MySQLError
	if !errors.As(err, &my) {
		return "connection failed"
	}
	if my.Number == 1290 || my.Number == 1836 {
		return my.Message
	}
	return fmt.Sprintf("error %d: %s", my.Number, publicState(string(my.SQLState[:]), my.Message))
}

// mysqlSession is a connection to MySQL.
type mysqlSession struct {
	conn   mysqlConn
	known  map[*Statement]sqldriver.Stmt
	broken bool // an error that is not one of the server's
}

func (s *mysqlSession) usable() bool { return !s.broken && s.conn.IsValid() }

func (s *mysqlSession) close() { _ = s.conn.Close() }

// note marks the session after errors that leave its state in doubt.
func (s *mysqlSession) note(err error) error {
	var my *mysql.MySQLError
	var f final
	if err != nil && !errors.As(err, &my) && !errors.As(err, &f) {
		s.broken = true
	}
	return err
}

func (s *mysqlSession) query(ctx context.Context, st *Statement, args []string, row func(Row) bool) error {
	stmt, err := s.prepare(ctx, st)
	if err != nil {
		return s.note(err)
	}
	q, ok := stmt.(sqldriver.StmtQueryContext)
	if !ok {
		return s.note(errors.New("the driver lacks contexts"))
	}
	rows, err := q.QueryContext(ctx, named(args))
	if err != nil {
		return s.note(err)
	}
	err = mysqlRows(rows, row)
	if cerr := rows.Close(); err == nil {
		err = cerr
	}
	return s.note(err)
}

func named(args []string) []sqldriver.NamedValue {
	values := make([]sqldriver.NamedValue, len(args))
	for i, a := range args {
		values[i] = sqldriver.NamedValue{Ordinal: i + 1, Value: a}
	}
	return values
}

func (s *mysqlSession) prepare(ctx context.Context, st *Statement) (sqldriver.Stmt, error) {
	stmt := s.known[st]
	if stmt == nil {
		var err error
		if stmt, err = s.conn.PrepareContext(ctx, st.text); err != nil {
			return nil, err
		}
		if len(s.known) >= maxStatements {
			s.forget()
		}
		s.known[st] = stmt
	}
	return stmt, st.checkArgs(stmt.NumInput())
}

func (s *mysqlSession) forget() {
	for _, stmt := range s.known {
		_ = stmt.Close()
	}
	clear(s.known)
}

// mysqlRows hands on the rows of an answer.
func mysqlRows(rows sqldriver.Rows, row func(Row) bool) error {
	r, err := newReader(rows.Columns())
	if err != nil {
		return err
	}
	if types, ok := rows.(sqldriver.RowsColumnTypeDatabaseTypeName); ok {
		for i := range r.columns {
			switch kind := types.ColumnTypeDatabaseTypeName(i); kind {
			case "BIT", "GEOMETRY", "VECTOR":
				return r.wrongType(i, kind)
			}
		}
	}
	values := make([]sqldriver.Value, len(r.columns))
	for {
		switch err := rows.Next(values); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		r.begin()
		for i, v := range values {
			if err := mysqlValue(r, i, v); err != nil {
				return err
			}
		}
		if !row(r.row()) {
			return nil
		}
	}
}

// mysqlValue writes the forms of the binary protocol as the text protocol
// would.
func mysqlValue(r *reader, i int, v sqldriver.Value) error {
	var buf [32]byte
	switch v := v.(type) {
	case nil:
		r.null()
		return nil
	case []byte:
		return r.text(v)
	case string:
		return r.text([]byte(v))
	case int64:
		return r.text(strconv.AppendInt(buf[:0], v, 10))
	case uint64:
		return r.text(strconv.AppendUint(buf[:0], v, 10))
	case float32:
		return r.text(strconv.AppendFloat(buf[:0], float64(v), 'g', -1, 32))
	case float64:
		return r.text(strconv.AppendFloat(buf[:0], v, 'g', -1, 64))
	}
	return r.wrongType(i, fmt.Sprintf("%T", v))
}

func (s *mysqlSession) exec(ctx context.Context, st *Statement, args []string, want func(int64) error) error {
	if err := s.command(ctx, "START TRANSACTION"); err != nil {
		return err
	}
	n, err := s.change(ctx, st, args)
	if err == nil {
		err = want(n)
	}
	if err != nil {
		_ = s.command(ctx, "ROLLBACK")
		return err
	}
	return s.command(ctx, "COMMIT")
}

func (s *mysqlSession) change(ctx context.Context, st *Statement, args []string) (int64, error) {
	stmt, err := s.prepare(ctx, st)
	if err != nil {
		return 0, s.note(err)
	}
	x, ok := stmt.(sqldriver.StmtExecContext)
	if !ok {
		return 0, s.note(errors.New("the driver lacks contexts"))
	}
	res, err := x.ExecContext(ctx, named(args))
	if err != nil {
		return 0, s.note(err)
	}
	return res.RowsAffected()
}

// command runs a statement without parameters; one that fails leaves a
// transaction in doubt.
func (s *mysqlSession) command(ctx context.Context, text string) error {
	_, err := s.conn.ExecContext(ctx, text, nil)
	if err != nil {
		s.broken = true
	}
	return err
}
