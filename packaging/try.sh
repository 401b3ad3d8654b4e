#!/bin/sh
# Unpacks the archive where there is nothing but glibc, and has it answer: try.sh ARCHIVE [MODEL.gguf]
#
# Whatever the archive should hold and does not, or takes from the machine that built it, fails here. Elsewhere than on
# Linux it is unpacked and asked for its version alone.
set -eu
archive=$1
model=${2:-}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
tar -xzf "$archive" -C "$room"
folder=$(ls "$room")

if [ "$(uname)" != Linux ]; then
    exec "$room/$folder/glassbox" --version
fi

# The loader and glibc's own libraries; the others are the archive's to bring.
for library in $(ldd "$room/$folder/glassbox" "$room/$folder"/lib*.so* 2>/dev/null | grep -o '/[^ ]*' | grep -v "^$room" | tr -d ':' | sort -u); do
    case $(basename "$library") in
        ld-linux*|libc.so*|libm.so*|libdl.so*|libpthread.so*|librt.so*)
            mkdir -p "$room$(dirname "$library")"
            cp -L "$library" "$room$library" ;;
    esac
done
mkdir -p "$room/proc" "$room/tmp" "$room/root"
[ -z "$model" ] || cp "$model" "$room/model.gguf"

unshare=$(command -v unshare)
inside() {
    env -i HOME=/root GLASSBOX_HOME=/root PATH=/ TERM=dumb \
        "$unshare" --mount --pid --fork --mount-proc --root="$room" "/$folder/glassbox" "$@"
}
inside --version
inside doctor | grep -E '^(version|engine|device|instructions)' || true
[ -z "$model" ] || inside ask --model /model.gguf --seed 1 --max-tokens 24 "What is the capital of France?"
