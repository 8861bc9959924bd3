# SPDX-License-Identifier: MIT
# make demo: installs what is missing, builds, trains the CNN on digits, saves it, loads it, shows what each cost.
# make test: the same, then every test.
BUILD ?= build
DATA ?=
CMAKE_FLAGS ?=

.PHONY: all demo test packages clean

all: packages
	cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS)
	cmake --build $(BUILD)

packages:
	./cmake/install-packages.sh

demo: packages
	cmake -S . -B $(BUILD) -G Ninja $(CMAKE_FLAGS)
	cmake --build $(BUILD) --target ingot_cli
	$(BUILD)/ingot demo --out $(BUILD)/digits.ingot $(if $(DATA),--data $(DATA))

test: all
	./tests/run $(BUILD)

clean:
	rm -rf $(BUILD)
