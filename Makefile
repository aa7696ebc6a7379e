# make demo      train, evaluate, export, verify and recommend on MovieLens-100k (the first time some minutes)
# make shop-demo a shop's raw log: clean, train, recommend, and say how likely a purchase is (some minutes)
# make test      install and run the tests
# make conformance  run every client of export/clients over every vector and every hostile bundle (half a minute each)
# make lint      format, lint and types
# make docs      write docs/models.md anew from the models' own words
# make notebook  run docs/benchmark.ipynb anew and store what it shows (some minutes)
# make web       build the page that `seqrec export --web` writes (needs Node.js and npm)
# make web-demo  write the demo's page and serve it here, until Ctrl-C
# make install   create .venv and install what is pinned in constraints.txt
# make clean     remove the demo's run and bundle, build outputs and caches; .venv stays
#
# POSIX sh, and nothing that macOS's make 3.81 does not have.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SEQREC := $(BIN)/seqrec
RUN := runs/demo
BUNDLE := bundles/demo
PAGE := pages/demo
WEB := seqrec_plugin/web_page
PORT := 8000
# As in: make test ARGS="tests/cli -x"
ARGS :=

.PHONY: help install demo demo-evaluate shop-demo test conformance lint docs notebook web web-demo clean
# A demo that was interrupted goes on where it was: make must not delete what it had.
.PRECIOUS: $(STAMP) $(RUN)/metrics.json $(BUNDLE)/manifest.json

help:
	@sed -n '1,11s/^# //p' Makefile

install: $(STAMP)

# Any Python 3.11 that can make virtual environments will do; pyenv's shims exist where no 3.11 is chosen, so each is tried.
$(STAMP): pyproject.toml setup.py constraints.txt
	@found=; \
	for python in python3.11 python3 python; do \
	  if "$$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; \
	  then found=$$python; break; fi; \
	done; \
	if $(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))' >/dev/null 2>&1; then :; \
	elif [ -z "$$found" ]; then \
	  echo "Python 3.11 was not found; get it from python.org, by 'uv python install 3.11 --default', 'pyenv install 3.11'," \
	    "'brew install python@3.11' or 'apt install python3.11 python3.11-venv', and call make again." >&2; \
	  exit 1; \
	else "$$found" -m venv --clear $(VENV) || exit 1; fi
	@echo "Installing into $(VENV); the first time this takes some minutes (torch is large)."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[train,prepare,tune,dev]' -c constraints.txt
	@touch $@

# The installed packages are an order-only prerequisite: a new one must not train the demo anew.
$(RUN)/metrics.json: | $(STAMP)
	@if [ -d $(RUN) ]; then resume=--resume; else resume=; fi; \
	$(SEQREC) train configs/lstm_ml100k.yaml -o $(RUN) $$resume

demo-evaluate: $(RUN)/metrics.json
	@$(SEQREC) evaluate $(RUN)

$(BUNDLE)/manifest.json: $(RUN)/metrics.json | demo-evaluate
	@if [ -d $(BUNDLE) ]; then force=--force; else force=; fi; \
	$(SEQREC) export $(RUN) -o $(BUNDLE) $$force

demo: demo-evaluate $(BUNDLE)/manifest.json
	@$(SEQREC) verify $(BUNDLE)
	@echo
	@echo "Someone has seen Star Wars (50), The Empire Strikes Back (172) and Return of the Jedi (181). What next?"
	@$(SEQREC) recommend $(BUNDLE) --history 50,172,181 --titles
	@echo
	@echo "What to try next:"
	@echo "  $(SEQREC) recommend $(BUNDLE) --history 1,71,95 --titles      another taste: Toy Story, The Lion King, Aladdin"
	@echo "  $(SEQREC) inspect $(BUNDLE)                                   what the bundle says of itself"
	@echo "  $(SEQREC) train configs/lstm_ml100k.yaml -o runs/mine --set hidden_size=256      a model of your own"

# From a CSV to probabilities: examples/shop says what is in it. Each step is made again only if what it reads is newer.
SHOP := examples/shop

data/shop_log/events.csv: $(SHOP)/make.py | $(STAMP)
	@$(BIN)/python $(SHOP)/make.py $@

data/shop/shop.inter: data/shop_log/events.csv $(SHOP)/recipe.yaml | $(STAMP)
	@$(SEQREC) prepare data/shop_log/events.csv -o data/shop --recipe $(SHOP)/recipe.yaml --force
	@touch $@

runs/shop_%/metrics.json: $(SHOP)/%.yaml data/shop/shop.inter | $(STAMP)
	@if [ -d runs/shop_$* ] && [ ! -f $@ ]; then again=--resume; else again=--force; fi; \
	$(SEQREC) train $(SHOP)/$*.yaml --data data/shop -o runs/shop_$* $$again

bundles/shop_%/manifest.json: runs/shop_%/metrics.json | $(STAMP)
	@$(SEQREC) export runs/shop_$* -o bundles/shop_$* --force

.PRECIOUS: data/shop_log/events.csv data/shop/shop.inter runs/shop_%/metrics.json bundles/shop_%/manifest.json

shop-demo: bundles/shop_behavior/manifest.json bundles/shop_ranker/manifest.json
	@echo
	@echo "Someone looked at a phone (0003) and put its neighbour (0004) into the cart. What will they look at next? And buy?"
	@$(SEQREC) recommend bundles/shop_behavior --history 0003,0004,0004 --behavior view,view,cart,view -k 5 --titles
	@$(SEQREC) recommend bundles/shop_behavior --history 0003,0004,0004 --behavior view,view,cart,purchase -k 5 --titles --include-seen
	@echo
	@echo "How likely is each act on these things, if it came next, to be a purchase? After a look, and after a look of a minute and the cart:"
	@$(SEQREC) score bundles/shop_ranker --history 0003 --behavior view \
	  --features '{"price": [199], "停留秒数": [5]}' --candidates 0004,0029,0100 --titles
	@$(SEQREC) score bundles/shop_ranker --history 0003,0004,0004 --behavior view,view,cart \
	  --features '{"price": [199, 249, 249], "停留秒数": [5, 60, 60]}' --candidates 0004,0029,0100 --titles
	@echo
	@echo "What was found in the log: data/shop/report.html"

test: $(STAMP)
	@$(BIN)/python -m pytest -n auto --dist loadgroup $(ARGS)

# Clients that have a package.json bring their packages with npm; one without its runtime is shown as missing.
conformance: $(STAMP)
	@for folder in export/clients/*/; do \
	  if [ -f "$$folder/package-lock.json" ] && command -v npm >/dev/null && [ ! -d "$$folder/node_modules" ]; \
	  then echo "Installing into $${folder}node_modules"; (cd "$$folder" && npm ci --silent --no-audit --no-fund) || exit 1; fi; \
	done
	@$(BIN)/python export/conformance/run.py $(ARGS)

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

docs: $(STAMP)
	@$(BIN)/python docs/generate.py

notebook: $(STAMP)
	@$(BIN)/python docs/run_notebook.py

web: $(WEB)/index.html

$(WEB)/index.html: $(wildcard export/web/*.js* export/web/src/* export/clients/web/index.js export/clients/javascript/*.js)
	@command -v npm >/dev/null || { echo "Node.js 20 or newer and npm are missing: get them from nodejs.org." >&2; exit 1; }
	@cd export/web && npm ci --silent --no-audit --no-fund && npm run --silent build
	@rm -rf $(WEB) && cp -R export/web/dist $(WEB) && touch $@

web-demo: web $(BUNDLE)/manifest.json
	@$(SEQREC) export $(BUNDLE) --web $(PAGE) --force
	@echo "The page: http://127.0.0.1:$(PORT)/ (Ctrl-C ends it)"
	@$(BIN)/python -m http.server --bind 127.0.0.1 --directory $(PAGE) $(PORT) >/dev/null 2>&1 || true

clean:
	rm -rf $(RUN) $(BUNDLE) $(PAGE) $(WEB) export/web/dist build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
