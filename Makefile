# make demo   a talking video out of the picture and the speech in demo/media, in a real ComfyUI
# make test   every test, in a real ComfyUI on the CPU      make lint   style, types, who may import whom
# make host   what these three need, into .venv and .cache  make clean  remove what the tools leave behind
# make locales  locales/en and locales/zh anew from the nodes and locales/chinese.json
# make workflows  workflows/*.json anew from workflows/api    make pictures  their pictures, and the demo's (npm, chromium)
# make soak   the long tests, hours of them: 100,000 hostile inputs of each kind, 10,000 prompts, 1,000 calls of the
#             routes, 1,000 files, a power cut at every write, every fault of a GPU in every phase, a disk that fails at
#             every call and a network share that fails at every request, 25 killed servers, an hour of video, a day's
#             film (most of its windows are not sampled), 1,000 jobs of mixed kinds beside an editor, batches on a cluster
# make bench  the benches: the loop and the numerics on a CPU; with a CUDA GPU also models of real size, half an hour;
#             ARGS="--parts first --seconds 560 --out rows.jsonl" goes to bench/suite.py
# make quality  the films that the trained miniatures are judged by: minutes each
#
# COMFYUI=/path make demo uses an existing ComfyUI (0.3.75 or later) and downloads nothing; its Python is looked for in
# its own .venv or venv, else python3, or COMFYUI_PYTHON=/path/to/python says it. ARGS="..." goes to demo/run.py.
# PYTHON=python3.12 make host chooses the Python that .venv is made with; PYTEST_ARGS="..." goes to pytest.
# PYTEST_WORKERS=0 make test runs all tests in one process; without it they share the cores. make ci-time: and the
# 20 slowest are told
#
# Other hosts, each in an environment of its own below .cache/hosts with its own requirements (host, test, lint):
# make test HOST_COMFYUI=/path    any ComfyUI    make test CORE_TAG=v0.33.0    one by its git tag (CORE_URL=...)
# make test PYTHON=python3.13     another Python than .venv's, with the newest libraries that it can have
# make matrix                     the suite as above, and its row of docs/hosts.md

PYTHON ?= python3
HOST_COMFYUI := .cache/ComfyUI
ifdef CORE_TAG
HOST_COMFYUI := .cache/hosts/$(subst /,_,$(CORE_TAG))/ComfyUI
HOST_ARGS := --core-tag "$(CORE_TAG)" $(if $(CORE_URL),--core-url "$(CORE_URL)")
else
HOST_ARGS := --core "$(HOST_COMFYUI)"
endif
VENV_PYTHON = $(shell $(PYTHON) scripts/host.py $(HOST_ARGS) --where)
VENV_BIN = $(dir $(VENV_PYTHON))

.DEFAULT_GOAL := help
.PHONY: help host test ci-time matrix quality soak bench lint demo locales workflows pictures clean

help:
	@awk '/^#/ { sub(/^# ?/, ""); print; next } { exit }' Makefile

host:
	@$(PYTHON) scripts/host.py $(HOST_ARGS)

# Else each of a hundred processes would compile ComfyUI and the pack for itself: a second of a core each.
COMPILED_ONCE := env -u PYTHONDONTWRITEBYTECODE

test: host
	@$(PYTHON) scripts/browser.py
	@$(PYTHON) scripts/frontends.py
	@$(COMPILED_ONCE) COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest --timeout 600 -n auto $(PYTEST_ARGS)

ci-time: override PYTEST_ARGS += --durations 20
ci-time: test

MATRIX_REPORT := .cache/matrix.xml

matrix: host
	@$(PYTHON) scripts/browser.py
	@$(PYTHON) scripts/frontends.py
	@rm -f $(MATRIX_REPORT)
	-@$(COMPILED_ONCE) COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest --timeout 600 -n auto -o junit_family=xunit1 --junitxml $(MATRIX_REPORT) $(PYTEST_ARGS)
	@$(VENV_PYTHON) scripts/host_matrix.py --comfyui $(HOST_COMFYUI) $(MATRIX_REPORT)

quality: host
	@EVERTALK_QUALITY=1 COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest --timeout 3000 tests/demo/test_talking.py tests/demo/test_talking_in_the_server.py tests/demo/test_attention_budget.py

SOAK_CASES ?= 100000
SOAK_HOSTILE ?= 1000
SOAK_KILLS ?= 25
SOAK_MINUTES ?= 60
SOAK_PROMPTS ?= 10000
SOAK_JOBS ?= 1000
SOAK_HOURS ?= 24

soak: host
	@EVERTALK_FUZZ_CASES=$(SOAK_CASES) $(VENV_PYTHON) -m pytest --hypothesis-show-statistics tests/multitalk/test_fuzz.py
	@EVERTALK_POWER_CUTS=0 $(VENV_PYTHON) -m pytest --log-cli-level INFO tests/multitalk/runs/test_power_cut.py
	@EVERTALK_DISK_FAULTS=0 $(VENV_PYTHON) -m pytest --log-cli-level INFO tests/multitalk/runs/test_failing_disk.py tests/multitalk/runs/test_network_folder.py
	@EVERTALK_FAULTS=1 COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest tests/nodes/test_machine_faults_server.py
	@EVERTALK_HOSTILE_FILES=$(SOAK_HOSTILE) EVERTALK_HOSTILE_ROUTES=$(SOAK_HOSTILE) COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest --log-cli-level INFO tests/nodes/test_hostile_files.py tests/nodes/test_hostile_routes_server.py
	@EVERTALK_KILLS=$(SOAK_KILLS) COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest tests/nodes/test_kill_and_resume.py
	@EVERTALK_HOSTILE_PROMPTS=$(SOAK_PROMPTS) COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest --log-cli-level INFO tests/nodes/test_hostile_prompts_server.py
	@$(VENV_PYTHON) bench/soak.py --comfyui $(HOST_COMFYUI) --minutes $(SOAK_MINUTES)
	@$(VENV_PYTHON) bench/day.py --comfyui $(HOST_COMFYUI) --hours $(SOAK_HOURS)
	@$(VENV_PYTHON) bench/day_store.py --hours $(SOAK_HOURS)
	@$(PYTHON) scripts/browser.py
	@$(VENV_PYTHON) bench/many_jobs.py --comfyui $(HOST_COMFYUI) --jobs $(SOAK_JOBS) --browser
	@EVERTALK_BATCH_SOAK=1 COMFYUI_DIR=$(abspath $(HOST_COMFYUI)) $(VENV_PYTHON) -m pytest --log-cli-level INFO tests/cluster

bench: host
	@$(VENV_PYTHON) bench/suite.py $(ARGS)

lint: host
	@$(VENV_BIN)ruff check .
	@$(VENV_BIN)ruff format --check .
	@$(VENV_PYTHON) scripts/pyright_host.py --comfyui $(HOST_COMFYUI)
	@PYTHONPATH=.cache/types:$(HOST_COMFYUI) $(VENV_BIN)lint-imports

ifdef COMFYUI
COMFYUI_PYTHON ?= $(firstword $(wildcard $(COMFYUI)/.venv/bin/python $(COMFYUI)/venv/bin/python) python3)

demo:
	@$(PYTHON) scripts/host.py --comfyui "$(COMFYUI)" --python "$(COMFYUI_PYTHON)"
	@"$(COMFYUI_PYTHON)" demo/run.py --comfyui "$(COMFYUI)" $(ARGS)
else
demo: host
	@$(VENV_PYTHON) demo/run.py --comfyui $(HOST_COMFYUI) $(ARGS)
endif

workflows: host
	@$(VENV_PYTHON) scripts/make_workflows.py --comfyui $(HOST_COMFYUI)

locales: host
	@$(VENV_PYTHON) scripts/make_locales.py --comfyui $(HOST_COMFYUI) $(ARGS)

pictures: host
	@npm install --silent --prefix .cache/browser playwright-core@1.64.1
	@$(VENV_PYTHON) scripts/make_pictures.py --comfyui $(HOST_COMFYUI) --browser .cache/browser

clean:
	@rm -rf demo/run .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.venv/*' -not -path './.cache/*' -prune -exec rm -rf {} +
	@echo "clean: removed demo/run and the tools' caches; .venv and .cache stay (remove them by hand to start over)"
