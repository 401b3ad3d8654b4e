#!/bin/sh
# Makes what people install without compiling: see packaging/README.md.
#
#   packaging/package.sh tree     what an installation holds, in target/package/tree (built before by `make package`)
#   packaging/package.sh archive  that as an archive with its checksum, in target/package/dist
#   packaging/package.sh deb      a Debian package of the tree
#   packaging/package.sh single   the program alone (no backends as libraries), as `cargo binstall` takes it
#   packaging/package.sh recipes URL FOLDER   formula, PKGBUILD and flake for the archives in FOLDER, released at URL
#
# Name, version, description and licence are those of Cargo.toml.
set -eu
cd "$(dirname "$0")/.."

out=target/package
key() { sed -n "/^\[package\]/,/^\[dependencies\]/s/^$1 = \"\(.*\)\"$/\1/p" Cargo.toml | head -1; }
name=$(key name)
version=$(key version)
target=${TARGET:-$(rustc -vV | sed -n 's/^host: //p')}
built=${BUILT:-${CARGO_TARGET_DIR:-$out/build}/release}

fail() { echo "package.sh: $*" >&2; exit 1; }
checksum() { if command -v sha256sum >/dev/null; then sha256sum "$@"; else shasum -a 256 "$@"; fi; }

# What goes into a folder beside the program, whatever installs it; the program there writes some of it.
papers() {
    cp README.md CHANGELOG.md SECURITY.md LICENSE-MIT LICENSE-APACHE config.example.toml "$1/"
    mkdir -p "$1/man" "$1/completions" "$1/themes"
    cp themes/*.toml "$1/themes/"
    "$1/$name" man "$1/man" >/dev/null
    "$1/$name" completions bash > "$1/completions/$name.bash"
    "$1/$name" completions zsh > "$1/completions/_$name"
    "$1/$name" completions fish > "$1/completions/$name.fish"
}

# llama.cpp's libraries, and those of the compiler that not every system has: OpenMP's and C++'s. Libraries without
# anything in them (variants that a trial build leaves out) stay out.
libraries() {
    native=$(ls -dt "$built"/build/llama-cpp-sys-2-*/out 2>/dev/null | head -1)
    [ -n "$native" ] && [ -d "$native/backends" ] || fail "no backends in $built: build with dynamic-backends first (make package)"
    for library in "$native"/lib/lib*.so* "$native"/lib64/lib*.so* "$native"/backends/*.so; do
        [ -e "$library" ] || continue
        case $library in */libggml-cpu*) [ "$(wc -c < "$library")" -gt 100000 ] || continue;; esac
        cp -P "$library" "$1/"
    done
    for runtime in libgomp.so.1 libstdc++.so.6 libgcc_s.so.1; do
        found=$(ldd "$1"/libggml-cpu-*.so "$1/$name" | sed -n "s/^[[:space:]]*$runtime => \([^ ]*\) .*/\1/p" | head -1)
        [ -z "$found" ] || cp -L "$found" "$1/$runtime"
    done
}

tree() {
    rm -rf "$out/tree"
    mkdir -p "$out/tree"
    cp "$built/$name" "$out/tree/"
    if [ "$(uname)" = Linux ]; then strip --strip-debug "$out/tree/$name"; libraries "$out/tree"; fi
    papers "$out/tree"
}

pack() {
    mkdir -p "$out/dist" "$out/packing"
    rm -rf "$out/packing/$2"
    cp -a "$1" "$out/packing/$2"
    tar -C "$out/packing" --owner=0 --group=0 -czf "$out/dist/$2.tar.gz" "$2" 2>/dev/null || tar -C "$out/packing" -czf "$out/dist/$2.tar.gz" "$2"
    (cd "$out/dist" && checksum "$2.tar.gz" > "$2.tar.gz.sha256")
    rm -rf "$out/packing"
    echo "$out/dist/$2.tar.gz"
}

# By cargo-deb; what it holds stands in Cargo.toml.
deb() {
    mkdir -p "$out/link"
    ln -sf ../lib/glassbox/glassbox "$out/link/glassbox"
    cargo deb --no-build --no-strip --output "$out/dist/"
}

single() {
    rm -rf "$out/single"
    mkdir -p "$out/single"
    cp "$built/$name" LICENSE-MIT LICENSE-APACHE "$out/single/"
    if [ "$(uname)" = Linux ]; then strip --strip-debug "$out/single/$name"; fi
    pack "$out/single" "$name-$version-$target-single"
}

recipes() {
    url=$1
    archives=$2
    sum() { cut -d' ' -f1 "$archives/$name-$version-$1.tar.gz.sha256" 2>/dev/null || fail "no archive for $1 in $archives"; }
    mkdir -p "$out/dist"
    for recipe in packaging/recipes/*; do
        sed -e "s|@NAME@|$name|g" -e "s|@VERSION@|$version|g" -e "s|@URL@|$url|g" \
            -e "s|@DESCRIPTION@|$(key description | sed 's/\.$//')|g" \
            -e "s|@LINUX_X86_64@|$(sum x86_64-unknown-linux-gnu)|g" \
            -e "s|@LINUX_ARM64@|$(sum aarch64-unknown-linux-gnu)|g" \
            -e "s|@MACOS_ARM64@|$(sum aarch64-apple-darwin)|g" "$recipe" > "$out/dist/$(basename "$recipe")"
    done
}

case "${1:-}" in
    tree) tree ;;
    archive) tree; pack "$out/tree" "$name-$version-$target" ;;
    deb) deb ;;
    single) single ;;
    recipes) [ $# = 3 ] || fail "recipes URL FOLDER"; recipes "$2" "$3" ;;
    *) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
