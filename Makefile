# Every command a user, a developer or CI runs. `make help` lists them.

# Python 3.11 or later, to make .venv with.
PYTHON ?= python3
# A MicroPython source tree (>= 1.23) to use instead of fetching one.
MPY_DIR ?=
# A git address to fetch MicroPython from, instead of the Debian archive, and the tag wanted.
PRIOT_MICROPYTHON_GIT ?=
PRIOT_MICROPYTHON_TAG ?= v1.25.0
# An official RPI_PICO UF2 file to use instead of building the firmware.
PICO_UF2 ?=
# What `make test` runs, and further options of pytest. Files of tests run beside each other, one a
# core (-n 0: one after the other, where Ctrl-C and a debugger work as usual).
TESTS ?= tests
PYTEST_FLAGS ?= -n auto --dist loadfile --no-loadscope-reorder

export PYTHON MPY_DIR PRIOT_MICROPYTHON_GIT PRIOT_MICROPYTHON_TAG PICO_UF2

SETUP := host_tools/setup/setup.sh
BASE := python unix native_x64
BOARDS := native_armv6m native_rv32imc firmware emulator qemu qemu_m33
VENV := .venv/bin

help:  ## Print this list.
	@sed -n 's/^\([a-z_-]*\):[^#]*## /\1\t/p' Makefile | expand -t 14

setup:  ## Everything that demo needs: .venv, MicroPython for this machine, the native module.
	@$(SETUP) $(BASE)

demo: setup  ## Adapt a network to rotated digits under MicroPython; report in build/demo.
	@$(VENV)/priot demo

test: .path-for-tests setup-all  ## Run every test (TESTS=... for a part).
	@$(VENV)/python -m pytest $(PYTEST_FLAGS) $(TESTS)

test-long: .path-for-tests setup-all  ## The same in full: more moments of lost power, every case in QEMU.
	@$(VENV)/python -m pytest $(PYTEST_FLAGS) --long $(TESTS)

.PHONY: .path-for-tests
.path-for-tests:
	@bash -c '. host_tools/setup/elsewhere.sh && ! is_awkward "$$PWD"' || { echo "make test:" \
		"the tests compile in this folder, and make cannot take its path $$PWD: move or copy" \
		"it to one without spaces and marks" >&2; exit 1; }

setup-all:  ## Everything that the tests need: also the Pico's firmware, emulator, QEMU and a browser.
	@$(SETUP) $(BASE) $(BOARDS) browser

native:  ## Build the native modules for this machine (x64), Arm boards (armv6m) and RISC-V.
	@$(SETUP) native_x64 native_armv6m native_rv32imc

firmware:  ## Build the Pico's firmware, or take it from PICO_UF2=PATH.
	@$(SETUP) firmware

qemu:  ## Build MicroPython for QEMU with the instruction sets of Pico and Pico 2.
	@$(SETUP) qemu qemu_m33

boards: setup  ## Other boards: QEMU with Cortex-M4, M7 and RISC-V, and the Pico 2's firmware.
	@$(SETUP) native_armv6m native_rv32imc qemu qemu_m33 qemu_m4 qemu_m7 qemu_rv32 firmware_pico2
	@$(VENV)/python host_tools/setup/heap_of_image.py build/rp2-RPI_PICO2/firmware.elf

test-boards: boards  ## Every kernel and the demo on QEMU's Cortex-M33 and RISC-V, a part on M4 and M7.
	@PRIOT_BOARDS=all $(VENV)/python -m pytest $(PYTEST_FLAGS) tests/test_boards.py tests/test_qemu.py

pico: setup-pico  ## Start an emulated Pico and print the port that mpremote takes.
	@$(VENV)/priot pico

setup-pico:  ## Everything that the emulated Pico needs: firmware, emulator, native modules.
	@$(SETUP) $(BASE) native_armv6m firmware emulator

bench: setup-pico  ## Time training and inference on the emulated Pico.
	@$(VENV)/priot bench --target emulator --json build/bench.json --into README.md

watch-data: setup  ## Readings of a watch for device/examples/watch, into build/watch.
	@$(SETUP) watch

watch: watch-data  ## A watch learns its new wearer: device/examples/watch on this machine.
	@cd build/watch && cp ../../device/examples/watch/watch.priot . && \
		../../$(VENV)/priot repl ../../device/examples/watch/watch.py

anomaly-data: setup  ## Sounds of fans in rooms for device/examples/anomaly, into build/anomaly.
	@$(SETUP) anomaly

anomaly: anomaly-data  ## What is normal is learned, the rest told: device/examples/anomaly on this machine.
	@mkdir -p build/anomaly/here && cd build/anomaly/here && cp ../*.pcm . && \
		cp ../../../device/examples/anomaly/anomaly.priot . && \
		../../../$(VENV)/priot repl ../../../device/examples/anomaly/anomaly.py

digits-table: setup  ## Every method on turned digits: table and plots in build/experiments.
	@$(VENV)/priot experiment host_tools/experiments/digits.toml

release:  ## Write wheel, files for boards and checksums to dist.
	@$(SETUP) python native_x64 native_armv6m native_rv32imc
	@$(VENV)/python -m priot.package.release

lint:  ## Check style and types.
	@$(SETUP) python typings
	@$(VENV)/ruff check
	@$(VENV)/mypy
	@$(VENV)/mypy --config-file device/mypy.ini
	@MYPYPATH=build/typings-pico2 $(VENV)/mypy --config-file device/mypy.ini --custom-typeshed-dir build/typings-pico2

clean:  ## Remove what was built, but not the downloads nor .venv.
	@rm -rf dist
	@if [ -d build ]; then find build/ -mindepth 1 -maxdepth 1 ! -name download -exec rm -rf {} +; fi

.PHONY: help setup demo test-long watch-data watch anomaly-data anomaly test setup-all native firmware qemu boards test-boards pico bench digits-table setup-pico release lint clean
