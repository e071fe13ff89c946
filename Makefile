# make demo                 cloaks a portrait and shows what became of it      make demo PHOTO=my.jpg OUT=folder
# make test                 ruff, mypy, pytest                                 make test PYTEST_FLAGS="-k cli"
# make evaluate             the standard measurement, then the tables of README    make evaluate DATA=folder
# make plugin               facecloak.zip for WordPress                        make plugin PLUGIN=folder/name.zip
# make pot                  the texts of the plugin, for translators
# The first three set up .venv first, once. Name another Python with PYTHON=python3.12.

VENV ?= .venv
OUT ?= demo-output
PHOTO ?=
PYTEST_FLAGS ?=
PYTHON ?=
PLUGIN ?= facecloak.zip
POT ?= web/wordpress/facecloak/languages/facecloak.pot
# Holds lfw-dev/<subject>/<photo> and weights/ with the matchers' files.
DATA ?= ../shared/data
PROTOCOL ?= evaluation/protocols/standard.toml
export VENV PYTHON OUT PHOTO DATA PROTOCOL PLUGIN POT

.PHONY: demo test evaluate lint constraints plugin pot clean
.SUFFIXES:

demo: $(VENV)/.facecloak-demo
	@$(VENV)/bin/python scripts/demo.py --out "$$OUT" $(if $(PHOTO),-- "$$PHOTO")

test: lint
	$(VENV)/bin/python -m pytest $(PYTEST_FLAGS)

# Killed and started again, it goes on where it was; the work lies in evaluation/results/standard.work.
evaluate: $(VENV)/.facecloak-test
	@test -d "$$DATA" || { echo "$$DATA: no such folder. Name one with DATA=folder: it holds lfw-dev/ (photos as" \
		"<subject>/<photo>) and weights/ (the matchers' files). Nothing was judged." >&2; exit 2; }
	$(VENV)/bin/python -m evaluation run "$$PROTOCOL" -o evaluation/results --data "$$DATA"
	$(VENV)/bin/python -m evaluation table

lint: $(VENV)/.facecloak-test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# Renews the list of tested versions from what is installed; run the tests first.
constraints: $(VENV)/.facecloak-test
	@{ sed -n '/^#/p' constraints.txt; $(VENV)/bin/python -m pip freeze --exclude-editable \
		| sed 's/$$/ ; sys_platform == "linux" and python_version >= "3.11"/'; } > constraints.new
	@mv constraints.new constraints.txt

# The stamp is newer than what decides the installation, or it is done again.
$(VENV)/.facecloak-%: pyproject.toml constraints.txt scripts/setup.sh
	@bash scripts/setup.sh $*
	@touch $@

plugin:
	@bash scripts/plugin_zip.sh "$$PLUGIN"

pot:
	@bash scripts/plugin_texts.sh "$$POT"

clean:
	rm -rf facecloak.zip build dist .pytest_cache .mypy_cache .ruff_cache demo-output
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
