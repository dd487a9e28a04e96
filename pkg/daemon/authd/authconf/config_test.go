package authconf

import (
	"errors"
	"strings"
	"testing"

	"github.com/postcote/postcote/pkg/platform/conf"
)

// What is wrong between databases, their sections and what logins need is
// found when the file is read, with its line.
func TestMistakes(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"the defaults", "", ""},
		{
			"a section of another driver", "passdb:\n  - driver: sql\n    ldap: {database: m, base: dc=x}\n    sql: {database: m, password_query: SELECT 1}\ndatabases: {m: {driver: pgsql, hosts: [h], dbname: m, user: u}}",
			"3: passdb[0].ldap: the section does not belong to driver sql",
		},
		{"a user database's too", "userdb:\n  - {driver: prefetch, static: {}}", "2: userdb[0].static: the section does not belong to driver prefetch"},
		{"a section is missing", "passdb: [{driver: sql}]", "1: passdb[0].driver: driver sql needs its section"},
		{"a key of another section", "passdb: [{driver: local, local: {path: /x}}]", "1: passdb[0].local.path: unknown key"},
		{"a driver that knows no passwords", "passdb: [{driver: prefetch}]", "1: passdb[0].driver: \"prefetch\" is not allowed"},
		{"no such connection", "passdb: [{driver: sql, sql: {database: m, password_query: SELECT 1}}]", "1: passdb[0].sql.database: there is no entry \"m\" in databases"},
		{
			"a directory is no SQL database", "passdb: [{driver: sql, sql: {database: m, password_query: SELECT 1}}]\ndatabases: {m: {driver: ldap, ldap: {uris: [ldaps://h]}}}",
			"1: passdb[0].sql.database: databases[m] is of driver ldap",
		},
		{"keys of SQL for a directory", "databases: {m: {driver: ldap, hosts: [h], ldap: {uris: [ldaps://h]}}}", "1: databases[m].driver: the other keys are for SQL"},
		{"a directory without its section", "databases: {m: {driver: ldap}}", "1: databases[m].ldap: the section is missing"},
		{"no password database", "passdb: []", "1: passdb: there is no password database"},
		{"nobody gets in", "passdb: [{driver: local, deny: true}]", "1: passdb: no entry lets anybody in"},
		{"no user database", "userdb: []", "1: userdb: there is no user database"},
		{"pass and result_success", "passdb: [{driver: local, pass: true, result_success: continue-ok}]", "1: passdb[0].pass: result_success says something else"},
		{"a rule that is none", "passdb: [{driver: local, result_failure: stop}]", "1: passdb[0].result_failure: \"stop\" is not allowed"},
		{"a mechanism that is none", "passdb: [{driver: local, mechanisms: [PLAIN, LOGIN, NTLM]}]", "1: passdb[0].mechanisms[2]: \"NTLM\" is not known"},
		{"a variable that is none", "passdb: [{driver: local, default_fields: {host: \"%{hots}\"}}]", "1: passdb[0].default_fields: field host: there is no variable %{hots}"},
		{"nor in users", "users: {home: \"/srv/%{dom}\"}", "1: users.home: "},
		{"nor in names", "login: {username_format: \"%{usr}\"}", "1: login.username_format: "},
		{"nor in a query", "passdb: [{driver: sql, sql: {database: m, password_query: \"SELECT '%{usr}'\"}}]\ndatabases: {m: {driver: pgsql, hosts: [h], dbname: m, user: u}}", "1: passdb[0].sql.password_query: "},
		{"SCRAM by PAM", "passdb: [{driver: pam}]\nlogin: {mechanisms: [PLAIN, SCRAM-SHA-256]}", "2: login.mechanisms[1]: SCRAM-SHA-256 cannot be served: no password database hands out stored passwords for it"},
		{
			"SCRAM by an LDAP bind", "passdb: [{driver: ldap, ldap: {database: m, base: dc=x, auth_bind: true, pass_filter: (uid=%u)}}]\ndatabases: {m: {driver: ldap, ldap: {uris: [ldaps://h]}}}\nlogin: {mechanisms: [SCRAM-SHA-1]}",
			"3: login.mechanisms[0]: SCRAM-SHA-1 cannot be served: no password database hands out",
		},
		{"certificates by PAM", "passdb: [{driver: pam}]\nlogin: {mechanisms: [EXTERNAL]}", "2: login.mechanisms[0]: EXTERNAL cannot be served: no password database tells whether a user exists"},
		{"tokens by passwords", "login: {mechanisms: [OAUTHBEARER]}", "1: login.mechanisms[0]: OAUTHBEARER cannot be served: no password database checks tokens"},
		{"guests without a name", "login: {mechanisms: [ANONYMOUS]}", "1: login.mechanisms[0]: ANONYMOUS cannot be served: login.anonymous_username names no guest"},
		{"a mechanism that all entries leave out", "passdb: [{driver: local, mechanisms: [PLAIN]}]", "login.mechanisms[1]: LOGIN cannot be served: no password database is asked for it"},
		{"guests with a name", "login: {mechanisms: [ANONYMOUS], anonymous_username: guest}", ""},
		{"masters without any", "login: {master_user_separator: \"*\"}", "1: login.master_user_separator: no entry of passdb is for masters"},
		{"an @ as the separator", "login: {master_user_separator: \"@\"}\npassdb: [{driver: local, master: true}, {driver: local}]", "1: login.master_user_separator: an @ separates"},
		{"odd translation", "login: {username_translation: \"#@/\"}", "1: login.username_translation: the characters do not make pairs"},
		{"a file that nobody reads", "users: {file: /x}", "1: users.file: no entry of passdb or userdb reads the file"},
		{"an entry without its file", "passdb: [{driver: passwd-file}]", "1: passdb[0].driver: driver passwd-file needs a file"},
		{"a long name", "passdb: [{driver: local, name: a-very-long-name}]", "1: passdb[0].name: "},
		{"a name that no log filter reads", "passdb: [{driver: local, name: SQL2}]", "1: passdb[0].name: "},
		{"a rule's mechanism", "login: {rules: [{mechanisms: [X], action: deny}]}", "1: login.rules[0].mechanisms[0]: \"X\" is not known"},
		{"a field that is a column", "users: {fields: {uid: \"1\"}}", "1: users.fields: \"uid\" cannot be set here"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Default()
			err := conf.Parse("f", []byte(tc.text), &c)
			var problems conf.Problems
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want == "":
			case !errors.As(err, &problems) || len(problems) != 1 || !strings.Contains(problems[0].String(), tc.want):
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}

// What Dovecot calls pass is a rule.
func TestPass(t *testing.T) {
	c := Default()
	if err := conf.Parse("f", []byte("passdb: [{driver: local, master: true, pass: true}, {driver: local}]"), &c); err != nil {
		t.Fatal(err)
	}
	if got := c.Passdb[0].Rules().Success.String() + " " + c.Passdb[1].Rules().Success.String(); got != "continue return-ok" {
		t.Error(got)
	}
}
