# glassbox. Two commands are enough: `make run` and `make test`.
#
# They need Rust, a C++ compiler, make, and python3 with pip. cmake and libclang, which compiling
# llama.cpp wants too, are used where they are and otherwise fetched as pip packages into .tools/
# (no root, nothing outside this folder). Nothing here calls sudo.

.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
TOOLS := $(CURDIR)/.tools
ENV := $(TOOLS)/env.sh
WITH := . $(ENV) &&
CARGO_FLAGS ?=
FEATURES ?=

# Models that the tests use live apart from the user's own.
TEST_HOME := $(TOOLS)/home
TEST_MODELS := $(TEST_HOME)/data/models
# Threads that wait for each other spin by default, which starves everything else on a busy machine.
TEST_ENV := GLASSBOX_TEST_MODEL="$(TEST_MODELS)/smollm2-135m-instruct.gguf" GLASSBOX_TEST_GEMMA="$(TEST_MODELS)/gemma-3-270m.gguf" OMP_WAIT_POLICY=passive

# $(call say,what,when,processor minutes,other minutes) says what is about to be done and about how long it takes, where
# the second, a file or folder, is not there yet. Measured on two slow processors; quicker ones take half.
say = [ -e "$(2)" ] || { cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); \
  minutes=$$(( ($(3) + cores - 1) / cores + $(4) )); echo "$(1): about $$minutes minutes on $$cores processors."; }

.PHONY: help run build test check bench models fmt clippy unit minimal pictures tables docs clean deny test-variants \
        package package-single package-deb package-try announced

help: ## these lines
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -e 's/:.*## /\t/' | expand -t 12

run: build ## set up, build, start the chat (it fetches its default model)
	@./target/release/glassbox $(ARGS)

# Backends that are chosen at start, by what the machine has, cannot go with code for this machine alone.
NATIVE := $(if $(findstring dynamic-backends,$(FEATURES)),RUSTFLAGS=,)

# Who runs it needs neither what makes a second build of it quicker nor lines of its source in a debugger; `cargo build
# --release` has both.
TO_USE = CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_DEBUG=0

build: $(ENV) ## the release binary, target/release/glassbox
	@$(call say,Compiling llama.cpp and then glassbox (once; later builds take a minute or two),target/release/glassbox,16,1)
	@$(WITH) $(NATIVE) $(TO_USE) cargo build --release --locked --bin glassbox $(if $(FEATURES),--features $(FEATURES)) $(CARGO_FLAGS)

test: announced fmt clippy deny models docs minimal ## everything that CI runs, the real models included
	@$(call say,Compiling the tests and running them,,16,17)
	@$(WITH) $(TEST_ENV) cargo test --release --locked --features testing --no-fail-fast $(CARGO_FLAGS)

announced:
	@$(call say,Everything that CI runs (half of it where all is compiled),,28,17)

# ggml's CPU backend for two other sets of instructions than this machine's whole one, the lesser first.
VARIANTS ?= $(if $(shell grep -s -m1 avx512f /proc/cpuinfo),haswell skylakex,sandybridge haswell)
empty :=
LIST = $(subst $(empty) $(empty),;,$(strip $(VARIANTS)))
VARIANTS_ENV = RUSTFLAGS= CARGO_TARGET_DIR=target/variants GGML_WANTED_VARIANTS="$(LIST)"

test-variants: models ## the tests on real models under two of ggml's CPU variants (VARIANTS="haswell skylakex")
	@$(WITH) $(VARIANTS_ENV) cargo test --release --locked --features testing,dynamic-backends --no-run --test real --test families $(CARGO_FLAGS)
	@$(WITH) failed=; for variant in $(VARIANTS); do \
	  built=$$(ls -t target/variants/release/build/llama-cpp-sys-2-*/out/backends/libggml-cpu-$$variant.so 2>/dev/null | head -1); \
	  [ -n "$$built" ] || { echo "ggml has no CPU variant called $$variant for this machine"; exit 1; }; \
	  for folder in target/variants/release target/variants/release/deps; do \
	    rm -f $$folder/libggml-cpu-*.so; cp "$$built" $$folder/; done; \
	  echo "ggml's CPU variant: $$variant"; \
	  $(TEST_ENV) $(VARIANTS_ENV) cargo test --release --locked --features testing,dynamic-backends --no-fail-fast --test real --test families $(CARGO_FLAGS) || failed="$$failed $$variant"; \
	done; \
	[ -z "$$failed" ] || { echo "failed under:$$failed"; exit 1; }

check: fmt clippy unit deny ## the quick gate: fmt, clippy with warnings as errors, unit tests

fmt: $(ENV)
	@$(WITH) cargo fmt --check

clippy: $(ENV)
	@$(call say,Linting (llama.cpp is compiled first),target/release/deps,16,0)
	@$(WITH) cargo clippy --release --locked --all-targets --features testing $(CARGO_FLAGS) -- -D warnings

unit: $(ENV)
	@$(WITH) cargo test --release --locked --features testing --lib $(CARGO_FLAGS)

deny: # licences, advisories and sources of what is depended on, where cargo-deny is installed
	@if command -v cargo-deny >/dev/null 2>&1; then cargo deny --locked check; \
	  else echo "cargo-deny is not installed; deny.toml was not checked"; fi

minimal: $(ENV) # without llama.cpp, clipboard and network the rest must still build
	@$(WITH) cargo check --release --locked --no-default-features --lib --bins $(CARGO_FLAGS)

tables: $(ENV) ## the lists that README and config.example.toml have of commands and settings
	@$(WITH) GLASSBOX_DOCS=write cargo test --release --locked --features testing --lib --test readme $(CARGO_FLAGS) -- tables
	@git --no-pager diff --stat -- README.md config.example.toml

docs: $(ENV)
	@$(WITH) RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps --lib --quiet $(CARGO_FLAGS)

# By the program as the tests have it, which is compiled for them anyway. `cargo build` would compile it and half of the
# dependencies once more, since what only tests depend on asks for other features of them.
models: $(ENV) ## fetch the two models that the tests use (accepts Gemma's terms, visibly)
	@$(WITH) cargo test --release --locked --features testing --no-run --test pty $(CARGO_FLAGS)
	@GLASSBOX_HOME="$(TEST_HOME)" ./target/release/glassbox models pull smollm2-135m-instruct
	@GLASSBOX_HOME="$(TEST_HOME)" ./target/release/glassbox models pull gemma-3-270m --accept-licence

bench: models ## the measurements, as tables
	@$(WITH) $(TO_USE) cargo build --release --locked --bin glassbox $(CARGO_FLAGS)
	@GLASSBOX_HOME="$(TEST_HOME)" ./target/release/glassbox bench $(ARGS)
	@$(WITH) cargo bench --locked --quiet --bench app $(CARGO_FLAGS)

pictures: models ## the README's pictures, made by the program itself
	@$(WITH) $(TEST_ENV) GLASSBOX_PICTURES=write cargo test --release --locked --features testing --no-fail-fast --test real $(CARGO_FLAGS) -- chat::
	@$(WITH) GLASSBOX_PICTURES=scripted cargo test --release --locked --features testing --test pty $(CARGO_FLAGS) -- thoughts_are_folded
	@$(WITH) GLASSBOX_DOCS=write cargo test --release --locked --features testing --test readme $(CARGO_FLAGS)

# What people install without compiling (packaging/README.md). Built apart, since it is code for any machine of its kind:
# on Linux with llama.cpp's backends as libraries, of which the fitting ones are loaded at start.
PACKAGE_FEATURES ?= $(if $(filter Darwin,$(shell uname)),metal,dynamic-backends)
PACKAGE_ENV = RUSTFLAGS= $(TO_USE) GLASSBOX_PACKAGE=1 CARGO_TARGET_DIR=target/package/build

package: $(ENV) ## an archive for others to install, with its checksum, in target/package/dist
	@$(WITH) $(PACKAGE_ENV) cargo build --release --locked --bin glassbox --features $(PACKAGE_FEATURES) $(CARGO_FLAGS)
	@$(PACKAGE_ENV) packaging/package.sh archive

package-single: $(ENV) # the program in one file, for `cargo binstall`: AVX2 on x86, nothing chosen at start
	@$(WITH) $(PACKAGE_ENV) cargo build --release --locked --bin glassbox $(CARGO_FLAGS)
	@$(PACKAGE_ENV) packaging/package.sh single

package-deb: # a Debian package of what `make package` made, by cargo-deb
	@packaging/package.sh deb

package-try: # unpacks the archive where nothing but glibc is, and asks it something (MODEL=file.gguf)
	@packaging/try.sh "$$(ls -t target/package/dist/glassbox-*.tar.gz | grep -v single | head -1)" $(MODEL)

clean: ## everything that was built; keeps tools and models
	@cargo clean

# Sets up two tiles and clears the second, as llama.cpp's AMX kernels do. Some compilers (GCC 12) drop the set-up as if
# nobody read it, and the program dies with an illegal instruction; so would every chat.
define AMX_TRIAL
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>
struct config { unsigned char palette, start, unused[14]; unsigned short bytes[16]; unsigned char rows[16]; };
int main() {
    if (syscall(SYS_arch_prctl, 0x1023, 18)) return 0;
    alignas(64) config tiles = {};
    tiles.palette = 1;
    tiles.bytes[0] = tiles.bytes[4] = 64;
    tiles.rows[0] = tiles.rows[4] = 16;
    _tile_loadconfig(&tiles);
    _tile_zero(4);
    _tile_release();
    return 0;
}
endef
export AMX_TRIAL

# What compiling needs, found or fetched once. The file is what every other target sources, so that
# the environment of the build never changes and llama.cpp is compiled once.
$(ENV): Makefile
	@mkdir -p $(TOOLS)
	@command -v cargo >/dev/null 2>&1 || { \
	  echo "glassbox needs Rust. Install it as https://rustup.rs says, then run make again."; exit 1; }
	@command -v c++ >/dev/null 2>&1 || command -v g++ >/dev/null 2>&1 || { \
	  echo "glassbox needs a C++ compiler for llama.cpp. As root, run:"; \
	  if command -v apt-get >/dev/null 2>&1; then echo "  apt-get install -y g++"; \
	  elif command -v dnf >/dev/null 2>&1; then echo "  dnf install -y gcc-c++"; \
	  elif command -v pacman >/dev/null 2>&1; then echo "  pacman -S --needed gcc"; \
	  else echo "  (your system's package manager) install g++; on macOS: xcode-select --install"; fi; exit 1; }
	@set -e; : > $(ENV).new; \
	fetch() { \
	  command -v $(PYTHON) >/dev/null 2>&1 && $(PYTHON) -m pip --version >/dev/null 2>&1 || { \
	    echo "glassbox needs $$1 and would fetch it with pip, but there is no python3 with pip. As root, run:"; \
	    echo "  apt-get install -y $$1$$2 (or: apt-get install -y python3-pip)"; exit 1; }; \
	  echo "fetching $$1 into .tools/ …"; \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore \
	    --upgrade --target $(TOOLS)/py $$1; }; \
	[ -x $(TOOLS)/py/cmake/data/bin/cmake ] || command -v cmake >/dev/null 2>&1 || fetch cmake ""; \
	if [ -x $(TOOLS)/py/cmake/data/bin/cmake ]; then \
	  echo 'export PATH="$(TOOLS)/py/cmake/data/bin:$$PATH"' >> $(ENV).new; fi; \
	if [ -n "$$LIBCLANG_PATH" ]; then echo "export LIBCLANG_PATH=\"$$LIBCLANG_PATH\"" >> $(ENV).new; \
	elif found=; for f in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so* \
	        /usr/lib/*/libclang-[0-9]*.so* /usr/lib/*/libclang.so* /usr/lib64/libclang.so* /usr/lib/libclang.so* /opt/homebrew/opt/llvm/lib/libclang.dylib \
	        /Library/Developer/CommandLineTools/usr/lib/libclang.dylib; do [ -e "$$f" ] && found=1; done; \
	    [ -n "$$found" ]; then :; \
	else \
	  [ -e $(TOOLS)/py/clang/native/libclang.so ] || [ -e $(TOOLS)/py/clang/native/libclang.dylib ] || fetch libclang -dev; \
	  echo 'export LIBCLANG_PATH="$(TOOLS)/py/clang/native"' >> $(ENV).new; fi; \
	if command -v gcc >/dev/null 2>&1; then \
	  headers="-I$$(gcc -print-file-name=include)"; \
	  case " $$BINDGEN_EXTRA_CLANG_ARGS " in *" $$headers "*) headers="$$BINDGEN_EXTRA_CLANG_ARGS" ;; \
	    *) headers="$$headers$${BINDGEN_EXTRA_CLANG_ARGS:+ $$BINDGEN_EXTRA_CLANG_ARGS}" ;; esac; \
	  echo "export BINDGEN_EXTRA_CLANG_ARGS=\"$$headers\"" >> $(ENV).new; fi; \
	if printf '%s\n' "$$AMX_TRIAL" > $(TOOLS)/amx.cpp && \
	    $${CXX:-c++} -march=native -O3 $(TOOLS)/amx.cpp -o $(TOOLS)/amx 2>/dev/null && ! $(TOOLS)/amx 2>/dev/null; then \
	  echo "this compiler's AMX code does not run here; llama.cpp is built without it"; \
	  for flags in CFLAGS CXXFLAGS; do \
	    echo "export $$flags=\"-mno-amx-tile -mno-amx-int8 -mno-amx-bf16 \$${$$flags:-}\"" >> $(ENV).new; done; fi; \
	rm -f $(TOOLS)/amx $(TOOLS)/amx.cpp; \
	mv $(ENV).new $(ENV)
