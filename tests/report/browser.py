"""A headless Chromium, and axe-core in it."""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

AXE = "axe-core@4.10.3"
CHROMIUM, DRIVER = shutil.which("chromium") or shutil.which("google-chrome"), shutil.which("chromedriver")
needs_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no chromium and chromedriver here: the page is not opened")
QUIET = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--hide-scrollbars")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


class Browser:
    """Opens pages at a width and in a theme, and records what they ask for."""

    def __init__(self) -> None:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service

        options = webdriver.ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for option in QUIET:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))

    def open(self, file: Path, anchor: str = "", *, width: int = 1440, dark: bool = False, script: bool = True) -> None:
        command = self.driver.execute_cdp_cmd
        command("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
        features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        command("Emulation.setEmulatedMedia", {"features": features})
        command("Emulation.setScriptExecutionDisabled", {"value": not script})
        self.driver.get("about:blank")
        self.driver.get_log("performance")
        self.driver.get(file.as_uri() + (f"#{anchor}" if anchor else ""))

    def run(self, script: str, *arguments: object) -> Any:
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys: str) -> None:
        from selenium.webdriver import ActionChains

        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def requests(self) -> list[str]:
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        return [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]

    def violations(self, axe: str) -> list[str]:
        self.run(axe)
        call = "axe.run(document, {runOnly: arguments[0]}).then(arguments[1])"
        found = self.driver.execute_async_script(call, RULES)["violations"]
        return [f"{one['id']}: {one['help']}: {[node['html'][:150] for node in one['nodes'][:3]]}" for one in found]


def axe_source(folder: Path) -> str:
    """axe-core, fetched once by npm; the test is skipped where that cannot be."""
    file = folder / "axe.min.js"
    if not file.is_file():
        if not shutil.which("npm"):
            pytest.skip("no npm here: axe-core cannot be fetched")
        fetched = subprocess.run(["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, text=True, timeout=120)
        if fetched.returncode:
            pytest.skip(f"npm could not fetch {AXE}: {fetched.stderr.splitlines()[:1]}")
        with tarfile.open(folder / fetched.stdout.split()[-1]) as archive:
            source = archive.extractfile("package/axe.min.js")
            assert source is not None
            file.write_bytes(source.read())
    return file.read_text(encoding="utf-8")
