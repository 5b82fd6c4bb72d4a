#!/bin/sh
# Installs the Debian packages that the tests use and that are missing here.
# Without root or apt it says so and leaves the tests to skip, with the reason.
set -u

# command:package
wanted='ip:iproute2 ping:iputils-ping curl:curl wrk:wrk ssh:openssh-client dig:bind9-dnsutils redis-benchmark:redis-tools
nasm:nasm qemu-system-x86_64:qemu-system-x86 qemu-img:qemu-utils sgdisk:gdisk mcopy:mtools fsck.fat:dosfstools xorriso:xorriso
sfdisk:fdisk cryptsetup:cryptsetup-bin e2fsck:e2fsprogs dnsmasq:dnsmasq-base kea-dhcp6:kea-dhcp6-server faketime:faketime chronyd:chrony rsyslogd:rsyslog unbound:unbound openssl:openssl socat:socat'

missing=
for pair in $wanted; do
	command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -e /usr/share/ovmf/OVMF.fd ] || missing="$missing ovmf"
[ -e /usr/lib/x86_64-linux-gnu/rsyslog/lmnsd_gtls.so ] || missing="$missing rsyslog-gnutls"
# On a machine of somebody's, these would take over its clock, its log and its names, or serve its network.
if [ -d /run/systemd/system ]; then
	rest=
	for package in $missing; do
		case $package in
		chrony | rsyslog | rsyslog-gnutls | unbound | kea-dhcp6-server) echo "deps: $package would become a service of this machine, so it is left out; tests that need it skip" >&2 ;;
		*) rest="$rest $package" ;;
		esac
	done
	missing=$rest
fi
[ -z "$missing" ] && exit 0

if ! command -v apt-get >/dev/null 2>&1; then
	echo "deps: missing:$missing; no apt-get here, install them by hand; tests that need them skip" >&2
	exit 0
fi
if [ "$(id -u)" != 0 ]; then
	echo "deps: missing:$missing; not root, run: sudo apt-get install$missing; tests that need them skip" >&2
	exit 0
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >"$log" 2>&1
}
echo "deps: installing:$missing" >&2
if ! install; then
	apt-get update -qq >/dev/null 2>&1
	if ! install; then
		echo "deps: apt-get could not install$missing; tests that need them skip:" >&2
		tail -n 3 "$log" >&2
	fi
fi
exit 0
