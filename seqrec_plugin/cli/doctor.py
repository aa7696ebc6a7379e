"""`seqrec doctor`."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--serving", is_flag=True, help="Check only what serving needs: for a service without training.")
@click.pass_context
def command(context: click.Context, as_json: bool, serving: bool) -> None:
    """Print versions, find known conflicts and say the fix for each.

    Exits with 1 where training or serving cannot work.

    \b
    Examples:
      seqrec doctor
      seqrec doctor --serving
    """
    from seqrec_plugin import diagnosing

    click.echo("Importing each package in a process of its own …", err=True)
    facts = diagnosing.gather(serving_only=serving)
    findings = diagnosing.diagnose(facts, serving_only=serving)
    healthy = all(finding.level != "error" for finding in findings)
    versions = {"python": platform.python_version(), "platform": platform.platform(), **facts.versions}
    if as_json:
        report = {"ok": healthy, "versions": versions, "findings": [asdict(finding) for finding in findings]}
        click.echo(json.dumps(report, indent=2, ensure_ascii=False))
    else:
        width = max(map(len, versions))
        for package, version in versions.items():
            click.echo(f"{package:{width}}  {version or '-'}")
        click.echo()
        for finding in findings:
            click.echo(f"{finding.level}: {finding.what}")
            if finding.fix:
                click.echo(f"    {finding.fix}")
        fine = "Serving can work." if serving else "Training and serving can work."
        click.echo(fine if healthy else "Something cannot work: see the errors above.")
    context.exit(0 if healthy else 1)
