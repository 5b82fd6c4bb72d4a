#!/bin/sh
# Counts the lines of Linux, glibc and OpenSSL as Debian 12 has them, by the rules
# of docs/lines.md, and writes internal/yardstick/linux.json.
#
#	tools/count-linux.sh [FOLDER]
#
# It needs apt-get, dpkg-dev, gcc, make, perl, 7 GB in FOLDER (a new one, which is
# removed, if none is given), and ten minutes. It changes nothing of the system:
# its package lists are its own, and nothing is installed.
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)
dir=${1:-}
if [ -z "$dir" ]; then
	dir=$(mktemp -d)
	trap 'rm -rf "$dir"' EXIT
fi
mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
cd "$dir"

# Only the release itself: of packages that security updates replaced, sources and
# debug information are not always there at the same time.
cat >sources.list <<EOF
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm main
EOF
own="-o Dir::Etc::sourcelist=$dir/sources.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=$dir/lists -o Dir::Cache=$dir/cache -o APT::Sandbox::User= -q"
apt-get $own update >&2

# version PACKAGE: the newest in the release.
version() { apt-cache $own madison "$1" | awk -F '|' '/Packages/ { gsub(/ /, "", $2); print $2; exit }'; }
# source_folder PACKAGE VERSION: fetches and unpacks it, with Debian's patches.
source_folder() {
	apt-get $own source "$1=$2" >&2
	find . -maxdepth 1 -type d -name "$1-*" | sed 's|^\./||' | head -n 1
}
# debug_file LIBRARY: its debug information, by build ID.
debug_file() {
	id=$(readelf -n "$1" | awk '/Build ID/ { print $3 }')
	rest=${id#??}
	echo "root/usr/lib/debug/.build-id/${id%"$rest"}/$rest.debug"
}

# The kernel for clouds: what it is started with, and what it loads for virtio.
kernel=$(apt-cache $own depends linux-image-cloud-amd64-dbg | awk '/Depends: linux-image/ { print $2; exit }')
linux=$(version "$kernel")
apt-get $own download "$kernel=$linux" >&2
dpkg-deb -x "$kernel"_*.deb root
linux_dir=$(source_folder linux "$linux")
release=${kernel#linux-image-}
release=${release%-dbg}
modules=root/usr/lib/debug/lib/modules/$release/kernel
set --
for m in drivers/virtio/virtio drivers/virtio/virtio_ring drivers/virtio/virtio_pci drivers/virtio/virtio_pci_modern_dev \
	drivers/virtio/virtio_pci_legacy_dev drivers/net/virtio_net drivers/net/net_failover net/core/failover drivers/block/virtio_blk; do
	set -- "$@" "$modules/$m.ko"
done

# The C library: libc.so and what loads programs.
glibc=$(version libc6)
apt-get $own download "libc6=$glibc" "libc6-dbg=$glibc" >&2
for f in libc6_*.deb libc6-dbg_*.deb; do dpkg-deb -x "$f" root; done
glibc_dir=$(source_folder glibc "$glibc")
libs=root/lib/x86_64-linux-gnu

# OpenSSL: Debian's debug information of it is not in the archive proper, so it is
# built as Debian does (debian/rules), with -g.
openssl=$(version libssl3)
openssl_dir=$(source_folder openssl "$openssl")
mkdir -p openssl-build
(
	cd openssl-build
	"../$openssl_dir/Configure" shared --prefix=/usr --openssldir=/usr/lib/ssl no-idea no-mdc2 no-rc5 no-zlib no-ssl3 enable-unit-test \
		no-ssl3-method enable-rfc3779 enable-cms no-capieng no-rdrand enable-ec_nistp_64_gcc_128 debian-amd64 -g
	make -s -j"$(nproc)" build_generated libcrypto.so libssl.so
) >&2

(cd "$here" && go build -o "$dir/count" ./internal/yardstick/count)
rm -f linux.json
./count -into linux.json -name "Linux" -version "$linux" -from "vmlinux of $release, and its modules for virtio" \
	-sources "/build/reproducible-path/$linux_dir=$linux_dir,debian/build/build_amd64_none_cloud-amd64=$linux_dir" \
	"root/usr/lib/debug/boot/vmlinux-$release" "$@"
./count -into linux.json -name "glibc" -version "$glibc" -from "libc.so.6 and ld-linux-x86-64.so.2" -sources "=$glibc_dir/" \
	"$(debug_file "$libs/libc.so.6")" "$(debug_file "$libs/ld-linux-x86-64.so.2")"
./count -into linux.json -name "OpenSSL" -version "$openssl" -from "libcrypto.so.3 and libssl.so.3" -sources "$dir/=$dir/" \
	openssl-build/libcrypto.so openssl-build/libssl.so
cp linux.json "$here/internal/yardstick/linux.json"
