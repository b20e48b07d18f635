# The newcomer's door. Everything real is in meson.build and tools/.
#   make demo    set up, build, run the main job, show its proof, stop
#   make check   set up, build, run all tests
PYTHON ?= /usr/bin/python3
BUILD := build/release
ASAN := build/asan
FUZZ := build/fuzz

.PHONY: all demo check check-slow asan lint fuzz bench bench-sandbox install setup image clean format

all: setup
	@tools/build.sh $(BUILD)

setup:
	@tools/setup.sh

image: all
	@tools/image.sh

demo: image
	@tools/demo.sh $(BUILD)

lint: setup
	@$(PYTHON) tools/layers.py
	@$(PYTHON) tools/lint.py
	@$(PYTHON) tools/purity.py $(BUILD)

check: image lint
	@tools/check.sh $(BUILD) $(ASAN)

check-slow: image
	@tools/check-slow.sh $(BUILD)

asan: setup
	@tools/build.sh $(ASAN)
	@meson test -C $(ASAN) --print-errorlogs

fuzz: setup
	@tools/fuzz.sh $(FUZZ)

bench: image
	@$(PYTHON) bench/run.py $(BUILD)

bench-sandbox: image
	@$(PYTHON) bench/sandbox.py $(BUILD)

install: all
	@meson install -C $(BUILD)

format:
	@git ls-files '*.c' '*.h' | xargs clang-format-19 -i

clean:
	rm -rf build
