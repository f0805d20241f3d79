#!/bin/sh
# The RUSTC_WRAPPER of `cargo xtask fuzz`: gives FUZZ_RUSTFLAGS to what the fuzzer follows, our own
# crates and the readers of others' binary formats. With them in every dependency the build takes four
# times as long, and the fuzzer learns how a regex works instead of what we do with a record.
# Build scripts and macros, which run on their own, are compiled without `--target`.
rustc=$1
shift
case "$CARGO_PKG_NAME $*" in
    pugmark-*" --target "* | evtx*" --target "* | maxminddb*" --target "*)
        # Split at the blanks between flags.
        # shellcheck disable=SC2086
        exec "$rustc" "$@" $FUZZ_RUSTFLAGS ;;
    *) exec "$rustc" "$@" ;;
esac
