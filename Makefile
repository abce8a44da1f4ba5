# From nothing to a result: `make install`, `make demo`. Needs Python >= 3.11.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed

# Qt draws into memory where no screen is needed.
OFFSCREEN := QT_QPA_PLATFORM=offscreen

# Qt's wheels expect a few libraries of the system, even where there is no screen. In a
# container that is run as root they are installed when tests need them.
SYSTEM_LIBRARIES := libegl1 libgl1 libxkbcommon0 libdbus-1-3 libfontconfig1 libglib2.0-0
QT_WORKS = $(OFFSCREEN) $(BIN)/python -c 'import PyQt6.QtOpenGLWidgets, PyQt6.QtDBus' 2>/dev/null
MAY_INSTALL = { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
  && { [ -e /.dockerenv ] || [ -e /run/.containerenv ] || [ -n "$$container$$CI" ]; }; }

.DEFAULT_GOAL := help
.PHONY: help docs install demo napari test test-all test-under-load package system-deps lint bench chaos coverage evaluate screenshots sample-data clean

help:  ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED)  ## Make .venv with the package, napari and all tools

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; say which: make install PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -c constraints.txt -e . --group dev
	@touch $@

demo: install  ## Super-resolve the sample data and compare: demo_output/
	$(BIN)/napari-sr demo --samples sample_data -o demo_output

napari: install  ## Open napari with a sample and the widget
	$(BIN)/python -m napari_sr._napari.launch

test: install  ## Run the quick tests
	@$(QT_WORKS) || ! $(MAY_INSTALL) || $(MAKE) system-deps
	@$(QT_WORKS) || echo "The tests of the viewer are left out: Qt needs libraries of the system. Get them with: sudo make system-deps"
	$(OFFSCREEN) $(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile \
	  $$($(QT_WORKS) || echo "-p no:pytest-qt --ignore=tests/_napari")

test-under-load: install  ## Run what depends on time, twenty times beside four busy processes
	@for n in 1 2 3 4; do $(BIN)/python -c 'while True: pass' & busy="$$busy $$!"; done; \
	trap "kill $$busy" EXIT; \
	for n in $$(seq 20); do \
	  $(OFFSCREEN) $(BIN)/python -m pytest -q -m under_load || exit 1; done

system-deps:  ## Install what Qt needs of the system (Debian, Ubuntu; as root)
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(SYSTEM_LIBRARIES)

test-all: install  ## Run all tests
	$(OFFSCREEN) $(BIN)/python -m pytest

coverage: install  ## Run the quick tests, and list the lines that none of them reaches
	$(OFFSCREEN) $(BIN)/python -m coverage run -m pytest -m "not slow"
	$(BIN)/python -m coverage report

lint: install  ## Check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install  ## Hold the ratios and the memory of this machine; minutes, and nothing beside
	$(BIN)/python -m pytest benchmarks/speed/test_suite.py -s -p no:xdist --benchmark-timer=time.process_time --benchmark-columns=min,median,rounds --benchmark-sort=min

chaos: install  ## Break runs and files at random for two minutes, and count
	$(BIN)/python -m tools.chaos

evaluate: install  ## Measure the shipped models again, on images that nobody learnt from
	$(BIN)/python -m benchmarks.accuracy.leaks
	$(BIN)/python -m benchmarks.accuracy.evaluate

screenshots: install  ## Take the pictures of the widgets again; needs a screen, or Xvfb
	$(BIN)/python -m tools.screenshots.super_resolve
	$(BIN)/python -m tools.screenshots.fine_tune
	$(BIN)/python -m tools.screenshots.other_widgets
	$(BIN)/python -m tools.screenshots.panels docs/screenshots/panels

package: install  ## Build wheel and source archive: dist/
	$(BIN)/python -m build

docs: install  ## Build the site: build/site/index.html; a warning is an error
	$(BIN)/python -m pip install --quiet -c constraints.txt --group docs
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(BIN)/mkdocs build

sample-data: install  ## Write the sample data again
	$(BIN)/napari-sr samples sample_data

clean:  ## Remove the environment and everything made
	rm -rf .venv build dist demo_output .pytest_cache .mypy_cache .ruff_cache
