#!/usr/bin/env python3
"""Opens the report in a real browser: headless Chromium, from file://, with the network off.

    .ci/report.py --loadgen target/debug/loadgen [--run RUN] [--screenshots DIR]

Makes a run of scenarios/quick.yaml with `--serve` (or takes --run) and looks at

- the live page while the run goes, and what it shows at the end;
- the page in light and dark, 1280, 800 and 420 pixels wide: no error on the console, all charts drawn,
  nothing wider than the window, no table or graph cut, no colour with two meanings, every control reached by the keyboard, in view and with a visible focus;
- names of spans and services that look like markup: nothing of them runs, all of them is shown;
- the page of several runs, of a dataset whose newer tables are taken away, and of a comparison;
- the figures, which tests/independent_figures.py finds anew in the CSV tables.

Needs Chromium (CHROMIUM, or on the PATH, or installed here by apt) and the package `playwright`, which
it installs beside the build cache, without a browser of its own.
"""

import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CACHE = os.environ.get("LOADGEN_CI_CACHE", os.path.expanduser("~/.cache/loadgen-ci"))
PLAYWRIGHT = "playwright==1.56.0"
LIMIT = 5_000_000

# A policy in the page keeps all of these from running; that they do nothing even without it is
# what textContent is for.
HOSTILE = [
    "<script>window.hit = 1</script>",
    "</script><img src=x onerror='window.hit = 2'>",
    "\"><svg onload='window.hit = 3'>",
    "<!--<script>",
    "{{constructor.constructor('window.hit = 4')()}}",
    "\u2028</title><style>body{display:none}</style>",
]

CONTROLS = "a[href], button, select, summary, input, textarea, [tabindex]"


def browser_path():
    named = [os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome"]
    found = next((path for path in map(shutil.which, filter(None, named)) if path), None)
    if found is None and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], stdout=subprocess.DEVNULL, timeout=600)
        found = shutil.which("chromium")
    return found


def with_playwright():
    """Starts this program again in an environment of Python that has playwright."""
    try:
        import playwright.sync_api  # noqa: F401
        return
    except ImportError:
        pass
    env = os.path.join(CACHE, "playwright")
    python = os.path.join(env, "bin", "python")
    if os.path.realpath(sys.prefix) == os.path.realpath(env):
        sys.exit("playwright can't be installed")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", env], check=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", PLAYWRIGHT], check=True)
    os.execv(python, [python, *sys.argv])


class Browser:
    """A browser without a profile, and without anything that it does by itself."""

    def __init__(self, playwright, path):
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--no-first-run"]
        self.browser = playwright.chromium.launch(executable_path=path, headless=True, args=arguments)

    def open(self, url, width=1280, scheme="light", offline=True):
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=offline
        )
        page = context.new_page()
        page.said = []
        page.requests = []
        # Reading a canvas back is what this trial does, not the page.
        page.on("console", lambda line: "willReadFrequently" in line.text or page.said.append(f"{line.type}: {line.text}"))
        page.on("pageerror", lambda error: page.said.append(f"error: {error}"))
        page.on("request", lambda request: page.requests.append(request.url))
        page.goto(url)
        page.wait_for_selector("main, .absent", timeout=20_000)
        page.wait_for_timeout(400)
        return page


def file_url(path):
    return "file://" + os.path.abspath(path)


def expect(condition, message):
    if not condition:
        sys.exit(f"FAILED: {message}")


def figures_of(path):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    return json.loads(re.search(r'id="figures">(.*?)</script>', text, re.S).group(1))


def wait_until(page, condition, milliseconds):
    """Asks again and again: what playwright itself would wait with is kept from running by the policy."""
    deadline = time.monotonic() + milliseconds / 1000
    while not page.evaluate(condition):
        expect(time.monotonic() < deadline, f"this does not come true: {condition}; the console says {page.said}")
        page.wait_for_timeout(200)


def charts(page):
    """Of each chart whether more than its background is on its canvas."""
    return page.evaluate(
        """() => [...document.querySelectorAll('.plot')].map((plot) => {
          const canvas = plot.querySelector('canvas');
          if (!canvas) return plot.textContent.trim() ? 'says: ' + plot.textContent : 'nothing';
          const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          const colours = new Set();
          for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) colours.add(data[at] << 16 | data[at + 1] << 8 | data[at + 2]);
          return colours.size > 3 ? 'drawn' : 'empty';
        })"""
    )


def nothing_odd(page, where, requests=1):
    expect(not page.said, f"{where}: the console says {page.said}")
    expect(len(page.requests) == requests, f"{where}: it asks for {page.requests}")
    wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    expect(wide[0] <= wide[1], f"{where}: {wide[0]} pixels wide in a window of {wide[1]}")


def looks_right(page, where, live=False):
    nothing_odd(page, where)
    drawn = charts(page)
    wanted = 3 if live else 4
    expect(len(drawn) == wanted and all(of == "drawn" or "says" in of for of in drawn), f"{where}: charts are {drawn}")
    expect(drawn[:3] == ["drawn"] * 3, f"{where}: charts are {drawn}")
    expect(page.locator(".lanes svg rect.window").count() > 3, f"{where}: no windows above the charts")
    expect(page.locator(".graph svg .node").count() > 3, f"{where}: no graph")
    expect(page.locator(".graph svg .node.root").count() == 1, f"{where}: no root cause in the graph")
    expect(page.locator(".spans .span").count() > 3, f"{where}: no waterfall")
    expect(page.locator("table.verdicts .badge").count() > 3, f"{where}: no verdicts")


def charts_show_the_figures(page, figures, where):
    """What is drawn is what stands in the page: the rate is spans by seconds."""
    run = figures["runs"][0]
    drawn = page.evaluate(
        """() => [...document.querySelectorAll('.plot')].slice(0, 3).map((holder) => {
          const { data, series } = holder.plot;
          return Object.fromEntries(series.slice(1).map((of, at) => [of.label, [...data[at + 1]]]));
        })"""
    )
    rates, errors, latencies = drawn
    series = run["series"]
    for of in series["services"]:
        kinds = [of["kinds"][kind] for kind in ("server", "consumer") if kind in of["kinds"]]
        if not kinds:
            expect(of["service"] not in rates, f"{where}: {of['service']} serves nothing and is drawn")
            continue
        shown = rates[of["service"]]
        counts = [sum(kind["count"][at] for kind in kinds) for at in range(series["steps"])]
        own = [count / series["step_s"] for count in counts]
        # Steps outside of the run's time are not drawn.
        at = next(at for at in range(len(own)) if own[at:at + len(shown)] == shown)
        for step, share in enumerate(errors.get(of["service"], [])):
            failed = sum(kind["errors"][at + step] for kind in kinds)
            count = counts[at + step]
            expect(share == (failed / count if count else None), f"{where}: errors of {of['service']}")
        if len(kinds) == 1:
            own = [p or None for p in kinds[0]["p95"][at:at + len(shown)]]
            expect(latencies[of["service"]] == own, f"{where}: p95 of {of['service']}")


def keyboard(page, where):
    """Tab reaches each control, in view and with a visible focus; then some are used."""
    wanted = page.evaluate(
        """(controls) => {
          const seen = [...document.querySelectorAll(controls)].filter((of) => of.tabIndex >= 0 && !of.disabled && of.checkVisibility());
          seen.forEach((of, at) => (of.dataset.control = at));
          document.activeElement?.blur();
          scrollTo(0, 0);
          return seen.map((of) => of.textContent.trim().slice(0, 40) || of.className);
        }""",
        CONTROLS,
    )
    reached = set()
    for _ in range(len(wanted) + 5):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
              const of = document.activeElement;
              if (!of || of === document.body) return null;
              const style = getComputedStyle(of);
              const box = of.getBoundingClientRect();
              return { at: of.dataset.control ?? null, name: of.textContent.trim().slice(0, 40),
                       outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0,
                       inView: box.bottom > 0 && box.top < innerHeight };
            }"""
        )
        if found is None:
            continue
        expect(found["outline"], f"{where}: no focus can be seen on {found}")
        expect(found["inView"], f"{where}: {found} has the focus out of view")
        if found["at"] is not None:
            reached.add(int(found["at"]))
    missed = [name for at, name in enumerate(wanted) if at not in reached]
    expect(not missed, f"{where}: the keyboard does not reach {missed} of {len(wanted)}")
    return len(wanted)


def use_by_keyboard(page, where):
    page.locator(".theme").focus()
    before = page.evaluate("document.documentElement.dataset.theme")
    page.keyboard.press("Enter")
    expect(page.evaluate("document.documentElement.dataset.theme") != before, f"{where}: the colours stay")
    expect(charts(page)[:3] == ["drawn"] * 3, f"{where}: charts are gone in other colours")
    page.keyboard.press("Enter")
    page.locator(".plot").first.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".plot").first.locator(".tooltip").is_visible(), f"{where}: arrows move no cursor")
    window = page.locator("#windows select")
    window.focus()
    trace = page.locator("#windows .waterfall code").first.text_content()
    page.keyboard.press("ArrowDown")
    page.wait_for_timeout(100)
    expect(page.locator("#windows .waterfall code").first.text_content() != trace, f"{where}: another window has the same trace")
    row = page.locator("table.verdicts button").nth(2)
    row.focus()
    page.keyboard.press("Enter")
    expect(page.locator("table.verdicts tr.more:not([hidden])").count() == 1, f"{where}: a window does not open")
    chip = page.locator(".chip").first
    chip.focus()
    lines = "document.querySelector('.plot').plot.series.length"
    before = page.evaluate(lines)
    page.keyboard.press("Space")
    expect(page.evaluate(lines) == before - 1, f"{where}: a service is not hidden")
    page.keyboard.press("Space")


def run_with_live_page(loadgen, folder, browser, shots):
    """Makes a run, and looks at its page while it goes."""
    command = [loadgen, "run", os.path.join(ROOT, "scenarios", "quick.yaml"), "--out", folder, "--serve", "0"]
    log = open(folder + ".log", "w+")
    run = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    url = None
    deadline = time.monotonic() + 60
    while url is None:
        expect(run.poll() is None and time.monotonic() < deadline, f"no live page; see {folder}.log")
        time.sleep(0.1)
        with open(folder + ".log") as said:
            found = re.search(r"the run as it goes: (http://\S+)", said.read())
        url = found and found.group(1)
    refused = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: shop.example", url + "figures.json"],
        capture_output=True, text=True,
    )
    expect(refused.stdout == "403", f"another host's name is answered {refused.stdout}")
    page = browser.open(url, offline=False)
    wait_until(page, "document.querySelectorAll('.plot canvas').length === 3", 240_000)
    wait_until(page, "document.querySelectorAll('.lanes rect.window').length >= 3", 240_000)
    expect(all(of == "drawn" for of in charts(page)), f"live: charts are {charts(page)}")
    steps = "document.querySelector('.plot').plot.data[0].length"
    before = page.evaluate(steps)
    page.locator(".chip").nth(1).focus()
    page.wait_for_timeout(5000)
    expect(page.evaluate(steps) > before, "live: the charts do not grow")
    expect(page.evaluate("document.activeElement.className") == "chip", "live: new figures take the focus away")
    expect(page.locator(".lanes g title", has_text="confirmed").count() > 0, "live: no fault is shown")
    if shots:
        page.screenshot(path=os.path.join(shots, "report-live.png"))
    code = run.wait(timeout=900)
    expect(code in (0, 6, 8), f"the run ended with {code}; see {folder}.log")
    wait_until(page, "document.querySelectorAll('#audit .badge').length > 0", 30_000)
    page.wait_for_timeout(500)
    expect(not page.said, f"live: the console says {page.said}")
    looks_right_at_the_end = charts(page)
    expect(looks_right_at_the_end[:3] == ["drawn"] * 3, f"at the end: charts are {looks_right_at_the_end}")
    page.context.close()
    with open(folder + ".log") as said:
        expect("report.html" in said.read(), "the run does not say where its report is")
    print("the live page shows the run as it goes, and all of it at the end")


def hostile_copy(run, folder):
    """The run's telemetry with names that look like markup, in a folder of its own."""
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("dataset", "report.html"))
    traces = os.path.join(folder, "telemetry", "traces.jsonl")
    with open(traces, encoding="utf-8") as file:
        text = file.read()
    names = sorted(set(re.findall(r'"name":"([A-Z]+ /[^"]*)"', text)))
    for at, name in enumerate(names):
        text = text.replace(f'"name":"{name}"', f'"name":{json.dumps(HOSTILE[at % len(HOSTILE)] + " " + str(at))}')
    # Services are in the graph, in charts, in buttons and in options.
    for at, service in enumerate(("catalogue", "cart", "web")):
        text = text.replace(f'{{"stringValue":"{service}"}}', f'{{"stringValue":{json.dumps(HOSTILE[at] + service)}}}')
    with open(traces, "w", encoding="utf-8") as file:
        file.write(text)


def hostile(loadgen, run, work, browser):
    folder = os.path.join(work, "hostile")
    hostile_copy(run, folder)
    telemetry, timeline = os.path.join(folder, "telemetry"), os.path.join(folder, "timeline.jsonl")
    dataset = os.path.join(folder, "dataset")
    made = subprocess.run([loadgen, "extract", telemetry, "--timeline", timeline, "--out", dataset], capture_output=True, text=True)
    report = os.path.join(folder, "report.html")
    expect(os.path.exists(report), f"no report: {made.stdout}{made.stderr}")
    page = browser.open(file_url(report))
    for option in page.locator("#windows select option").all():
        page.locator("#windows select").select_option(option.get_attribute("value"))
    page.locator("main > section button.plain").first.click()
    page.wait_for_timeout(300)
    nothing_odd(page, "hostile names")
    expect(page.evaluate("window.hit === undefined"), "a name of a span ran as a script")
    odd = page.evaluate("[document.images.length, document.querySelectorAll('script').length, document.querySelectorAll('style').length]")
    expect(odd == [0, 4, 1], f"hostile names made elements: {odd}")
    text = page.evaluate("document.body.textContent")
    shown = [name for name in HOSTILE if name.strip("\u2028") in text]
    expect(len(shown) >= 4, f"of the hostile names only {shown} are shown as they are")
    # The policy alone would keep them from running, too.
    page.evaluate("const of = document.createElement('script'); of.textContent = 'window.hit = 9'; document.body.append(of)")
    expect(page.evaluate("window.hit === undefined"), "a script that was put into the page runs")
    page.context.close()
    print(f"{len(shown)} names that look like markup are shown as text, and nothing of them runs")


def older(loadgen, run, work, browser):
    """A dataset of which newer tables are missing: the page says so and shows the rest."""
    folder = os.path.join(work, "older")
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("telemetry", "report.html"))
    for pattern in ("windows_features_*", "graph_*", "causal_graph_*", "metrics_labeled_*"):
        for path in glob.glob(os.path.join(folder, "dataset", pattern)):
            os.remove(path)
    subprocess.run([loadgen, "report", folder], check=True, stdout=subprocess.DEVNULL)
    page = browser.open(file_url(os.path.join(folder, "report.html")))
    nothing_odd(page, "an older dataset")
    text = page.evaluate("document.body.textContent")
    for name in ("windows_features_5s", "graph_edges", "causal_graph"):
        expect(name in text, f"an older dataset: that {name} is missing is not told")
    expect(page.locator(".spans .span").count() > 3, "an older dataset: no waterfall")
    page.context.close()
    print("a dataset without the newer tables has a page that says so")


def several(loadgen, folders, work, browser):
    path = os.path.join(work, "several.html")
    subprocess.run([loadgen, "report", *folders, "--out", path], check=True, stdout=subprocess.DEVNULL)
    page = browser.open(file_url(path))
    nothing_odd(page, "several runs")
    expect(page.locator("#runs tbody tr").count() >= len(folders), "several runs: not all are listed")
    first = page.locator(".run-name").text_content()
    page.locator("#runs button").nth(1).press("Enter")
    page.wait_for_timeout(300)
    expect(page.locator(".run-name").text_content() != first, "several runs: the other one is not shown")
    expect(charts(page)[:3] == ["drawn"] * 3 or "windows_features" in page.content(), "several runs: no charts")
    page.context.close()
    print("several runs are on one page")


def comparison(loadgen, folders, work, browser):
    out = os.path.join(work, "compared")
    subprocess.run([loadgen, "compare", *folders, "--out", out], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for width, scheme in ((1280, "light"), (420, "dark")):
        where = f"a comparison, {width} pixels, {scheme}"
        page = browser.open(file_url(os.path.join(out, "comparison.html")), width, scheme)
        nothing_odd(page, where)
        drawn = charts(page)
        expect(len(drawn) > 4 and all(of == "drawn" for of in drawn), f"{where}: charts are {drawn}")
        expect(page.locator(".forest-plot circle").count() > 4, f"{where}: no differences are drawn")
        expect("repetition" in page.locator("#undecided").text_content(), f"{where}: what is undecided is not told")
        keyboard(page, where)
        page.context.close()
    print("the page of a comparison has its charts, and says what is undecided")


def look(page_path, browser, shots):
    figures = figures_of(page_path)
    for width in (1280, 800, 420):
        for scheme in ("light", "dark"):
            where = f"{width} pixels, {scheme}"
            page = browser.open(file_url(page_path), width, scheme)
            looks_right(page, where)
            nothing_cut(page, where)
            colours_have_one_meaning(page, where)
            expect(page.evaluate("document.documentElement.dataset.theme") == scheme, f"{where}: other colours")
            charts_show_the_figures(page, figures, where)
            controls = keyboard(page, where)
            if shots:
                screenshots(page, shots, width, scheme)
            use_by_keyboard(page, where)
            nothing_odd(page, where)
            page.emulate_media(media="print")
            page.pdf(path=os.path.join(os.path.dirname(page_path), "report.pdf"))
            page.context.close()
            print(f"{where}: charts, graph, waterfall; {controls} controls by the keyboard; prints")


def nothing_cut(page, where):
    """Tables, code and the graph are seen without scrolling."""
    cut = page.evaluate(
        """() => [...document.querySelectorAll('.scroll, pre')]
          .filter((of) => of.checkVisibility() && of.scrollWidth > of.clientWidth + 1)
          .map((of) => `${of.getAttribute('aria-label')}: ${of.scrollWidth} of ${of.clientWidth}`)"""
    )
    expect(not cut, f"{where}: cut are {cut}")


def colours_have_one_meaning(page, where):
    """No window has the colour of a service."""
    windows, services = page.evaluate(
        """() => {
          const used = (found, of) => [...new Set([...document.querySelectorAll(found)].map(of))];
          return [
            used('.lanes g > rect', (rect) => rect.getAttribute('fill')),
            used('.chips .dot', (dot) => getComputedStyle(dot).backgroundColor),
          ];
        }"""
    )
    rgb = lambda colour: "rgb(" + ", ".join(str(int(colour[at:at + 2], 16)) for at in (1, 3, 5)) + ")"
    own = {rgb(colour) for colour in windows if colour.startswith("#")}
    expect(own and len(services) > 3, f"{where}: windows are {windows}, services {services}")
    expect(not own & set(services), f"{where}: colours stand for two things: {own & set(services)}")


def screenshots(page, shots, width, scheme):
    name = lambda part: os.path.join(shots, f"report-{part}-{width}-{scheme}.png")
    page.evaluate("document.activeElement?.blur(); scrollTo(0, 0)")
    page.wait_for_timeout(150)
    page.set_viewport_size({"width": width, "height": 1200})
    page.wait_for_timeout(150)
    page.screenshot(path=name("top"))
    page.locator("#windows").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('windows').scrollIntoView()")
    page.screenshot(path=name("window"))
    page.set_viewport_size({"width": width, "height": 900})


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--loadgen", required=True, help="the program")
    arguments.add_argument("--run", help="the folder of a run of the demo shop, instead of making one")
    arguments.add_argument("--keep", help="where to copy the run that was made")
    arguments.add_argument("--screenshots", help="where to put screenshots")
    given = arguments.parse_args()
    chromium = browser_path()
    if chromium is None:
        print("SKIPPED: there is no Chromium, and it can't be installed here")
        return
    with_playwright()
    from playwright.sync_api import sync_playwright

    loadgen = os.path.abspath(given.loadgen)
    if given.screenshots:
        os.makedirs(given.screenshots, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="loadgen-report-") as work, sync_playwright() as playwright:
        browser = Browser(playwright, chromium)
        run = os.path.join(work, "run")
        if given.run:
            shutil.copytree(given.run, run)
            subprocess.run([loadgen, "report", run], check=True, stdout=subprocess.DEVNULL)
        else:
            run_with_live_page(loadgen, run, browser, given.screenshots)
            if given.keep:
                shutil.rmtree(given.keep, ignore_errors=True)
                shutil.copytree(run, given.keep)
        page = os.path.join(run, "report.html")
        size = os.path.getsize(page)
        expect(size < LIMIT, f"the page has {size} bytes, more than {LIMIT}")
        print(f"the page has {size / 1e6:.2f} MB")
        check = os.path.join(ROOT, "crates/report/tests/independent_figures.py")
        subprocess.run([sys.executable, check, page, os.path.join(run, "dataset")], check=True)
        look(page, browser, given.screenshots)
        hostile(loadgen, run, work, browser)
        older(loadgen, run, work, browser)
        several(loadgen, [run, os.path.join(work, "older")], work, browser)
        comparison(loadgen, [run, os.path.join(work, "older")], work, browser)
    print("ok")


if __name__ == "__main__":
    main()
