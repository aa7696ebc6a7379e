"""The Node client and the browser's module, as their READMEs show them; the vectors are the conformance runner's."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from seqrec_plugin.runtime import Recommender

CLIENTS = Path(__file__).parents[1] / "export" / "clients"


def needs(client: str, package: str):
    installed = shutil.which("node") and (CLIENTS / client / "node_modules" / package).is_dir()
    return pytest.mark.skipif(not installed, reason=f"{package} is missing: npm ci in export/clients/{client}")


needs_node = needs("node", "onnxruntime-node")


def node(script: str, *args: str | Path, cwd: Path = CLIENTS / "node") -> subprocess.CompletedProcess[str]:
    command = ["node", "--input-type=module", "-e", script, "--", *map(str, args)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)


@needs_node
def test_the_readmes_example_runs_and_recommends_as_python_does(tiny_bundle, tmp_path):
    text = (CLIENTS / "node" / "README.md").read_text(encoding="utf-8")
    code = re.search(r"```js\n(.*?)```", text, re.DOTALL).group(1)
    history = ["007", "苹果", "i3"]
    for name, item in zip(("50", "172", "181"), history, strict=True):
        code = code.replace(f'"{name}"', f'"{item}"')
    code = code.replace("seqrec-client-node", "./index.js").replace("bundles/demo", str(tiny_bundle))
    done = node(code + "\nconsole.log(JSON.stringify([answer, next]));")
    assert done.returncode == 0, done.stderr
    recommender = Recommender.load(tiny_bundle)
    expected = recommender.recommend(history, k=5)
    for answer in json.loads(done.stdout.splitlines()[-1]):
        assert answer["bundle"] == recommender.bundle_id
        assert [item["item"] for item in answer["items"]] == [item.item for item in expected.items]
        assert [item.get("title") for item in answer["items"]] == [item.title for item in expected.items]
        scores = [item.score for item in expected.items]
        assert [item["score"] for item in answer["items"]] == pytest.approx(scores, abs=1e-4)


@needs_node
@needs("node", "typescript")
def test_its_types_fit_its_example_and_refuse_a_wrong_call(tmp_path):
    types = json.loads((CLIENTS / "node" / "package.json").read_text())["scripts"]["types"]
    assert subprocess.run(["npm", "run", "--silent", "types"], cwd=CLIENTS / "node").returncode == 0
    wrong = CLIENTS / "node" / "wrong.generated.ts"
    try:
        wrong.write_text('import { load } from "./index.js";\n(await load("x")).recommend("50", { top: 5 });\n')
        command = types.replace("example.js", wrong.name).replace("tsc", "node_modules/.bin/tsc")
        done = subprocess.run(command.split(), cwd=CLIENTS / "node", capture_output=True, text=True)
        assert done.returncode and "not assignable" in done.stdout
    finally:
        wrong.unlink()


@needs_node
def test_pushes_that_overlap_go_one_after_the_other(tiny_bundle):
    done = node(
        """
        import { load } from "./index.js";
        const recommender = await load(process.argv[1]);
        const session = await recommender.session();
        const answers = await Promise.allSettled([
          session.push(["007"]), session.push([null]), session.push(["i3"], { k: 99 }), session.push(["i3"]),
          ...["i1", "i2"].map((item) => recommender.recommend([item])),
        ]);
        const short = ({ value, reason }) => value?.items.map(({ item }) => item) ?? reason.code;
        console.log(JSON.stringify(answers.map(short)));
        """,
        tiny_bundle,
    )
    assert done.returncode == 0, done.stderr
    recommender = Recommender.load(tiny_bundle)

    def items(*history):
        return [item.item for item in recommender.recommend(history).items]

    after = [items("007"), "bad_question", "bad_k", items("007", "i3"), items("i1"), items("i2")]
    assert json.loads(done.stdout) == after


@needs("web", "onnxruntime-web")
@pytest.mark.parametrize("spoilt", [None, "model.onnx", "items.json", "gone"])
def test_the_browsers_module_checks_what_it_fetches(tiny_bundle, tmp_path, spoilt):
    bundle = shutil.copytree(tiny_bundle, tmp_path / "bundle")
    if spoilt == "gone":
        (bundle / "model.onnx").unlink()
    elif spoilt:
        with (bundle / spoilt).open("r+b") as stream:
            stream.write(b"?")
    done = node(
        """
        import { readFile } from "node:fs/promises";
        import { load } from "./index.js";
        const asked = [];
        const fetch = async (url) => {
          asked.push(url.href.split("/").at(-1));
          return readFile(url).then((data) => new Response(data), () => new Response(null, { status: 404 }));
        };
        const ask = (recommender) => recommender.recommend(["007"]);
        const found = await load(process.argv[1], { fetch }).then(ask, (error) => ({ status: error.code }));
        console.log(JSON.stringify([found.status, asked]));
        """,
        bundle.as_uri(),
        cwd=CLIENTS / "web",
    )
    assert done.returncode == 0, done.stderr
    status, asked = json.loads(done.stdout)
    assert status == {None: "ok", "gone": "file_missing"}.get(spoilt, "file_changed")
    assert set(asked) <= {"manifest.json", "model.onnx", "items.json"}  # what is not needed is not fetched
