#!/bin/sh
# make install: puts the suite below DESTDIR. Touches no running service and
# never overwrites a configuration in /etc/postcote.
set -eu
cd "$(dirname "$0")/.."
root=${DESTDIR:-}
prefix=${PREFIX:-/usr}

put() { # mode source target
	install -D -m "$1" "$2" "$root$3"
}

for d in mtad deliverd imapd authd; do
	put 0755 "bin/$d" "$prefix/sbin/$d"
done
# helpers: off until their sockets are enabled; authd-pam needs C and PAM to build
put 0755 bin/authd-checkpassword "$prefix/sbin/authd-checkpassword"
put 0755 bin/mtad-run "$prefix/sbin/mtad-run"
[ ! -e bin/authd-pam ] || put 0755 bin/authd-pam "$prefix/sbin/authd-pam"
# Postfix's commands, in a folder of their own: Postfix may be installed, too.
# docs/mtad/sendmail.md says how to make them the system's.
install -d -m 0755 "$root$prefix/lib/postcote/bin"
for name in sendmail mailq newaliases postqueue postsuper postcat postmap postalias postlog postconf postfix postkick qshape; do
	ln -sf "$prefix/sbin/mtad" "$root$prefix/lib/postcote/bin/$name"
done
for unit in deploy/systemd/*.service deploy/systemd/*.socket deploy/systemd/helpers/*; do
	put 0644 "$unit" "$prefix/lib/systemd/system/${unit##*/}"
	sed -i "s|/usr/sbin/|$prefix/sbin/|g" "$root$prefix/lib/systemd/system/${unit##*/}"
done
put 0644 deploy/sysusers.d/postcote.conf "$prefix/lib/sysusers.d/postcote.conf"
put 0644 deploy/tmpfiles.d/postcote.conf "$prefix/lib/tmpfiles.d/postcote.conf"
for page in docs/man/*.[58]; do
	[ -e "$page" ] || continue
	put 0644 "$page" "$prefix/share/man/man${page##*.}/${page##*/}"
done
put 0644 deploy/systemd/dropins/authd-network.conf "$prefix/share/doc/postcote/examples/authd-network.conf"
for conf in deploy/config/*.yaml; do
	put 0644 "$conf" "$prefix/share/doc/postcote/examples/${conf##*/}"
	[ -e "$root/etc/postcote/${conf##*/}" ] || put 0644 "$conf" "/etc/postcote/${conf##*/}"
done
put 0644 README.md "$prefix/share/doc/postcote/README.md"
put 0644 LICENSE "$prefix/share/doc/postcote/copyright"

[ -n "$root" ] || cat <<EOF
Installed. Next:
  systemd-sysusers && systemd-tmpfiles --create postcote.conf && systemctl daemon-reload
  edit /etc/postcote/*.yaml, put a certificate into /etc/postcote/tls, then: mtad check -c /etc/postcote/mtad.yaml
  systemctl enable --now authd deliverd imapd imapd-login mtad
EOF
