"""dev only"""
import time, sys
sys.path.insert(0, "/work/main")
import pytest
from tests.acceptance.test_browser_recorder import *  # noqa
def test_shots(browser, site, alice, log_in, settings):
    settings.RECORDER_CHUNK_S = 5
    for name, size, scheme in [("desk",(1440,900),"light"),("phone",(360,740),"light"),("deskdark",(1440,900),"dark"),("phonedark",(360,740),"dark")]:
        context = browser.new_context(base_url=site, permissions=["microphone"], viewport={"width":size[0],"height":size[1]}, color_scheme=scheme)
        log_in(context, alice)
        page = open_recorder(context)
        page.wait_for_timeout(500)
        page.screenshot(path=f"/tmp/shot_{name}_idle.png", full_page=True)
        print(name, page.evaluate("document.documentElement.scrollWidth"))
        page.fill("#title","Weekly meeting")
        record(page, seconds=6)
        page.evaluate("""async () => { const {Transcript} = await import('/static/recorder/transcript.js'); const t = new Transcript(document.getElementById('text'), () => '', () => {});
          const s=[]; for (let n=0;n<12;n++) s.push({id:n, start_ms:n*4000+(n>5?4000:0), end_ms:n*4000+3800+(n>5?4000:0), text:'It was the best of times, it was the worst of times, sentence '+n+'.'}); t.show(s); }""")
        page.screenshot(path=f"/tmp/shot_{name}_rec.png", full_page=True)
        print(name, page.evaluate("document.documentElement.scrollWidth"))
        context.set_offline(True)
        until_recorded(page, 11)
        page.wait_for_timeout(1500)
        page.screenshot(path=f"/tmp/shot_{name}_off.png", full_page=True)
        page.close()
        context.set_offline(False)
        page = open_recorder(context)
        page.wait_for_timeout(800)
        page.screenshot(path=f"/tmp/shot_{name}_left.png", full_page=True)
        print(name, page.evaluate("document.documentElement.scrollWidth"))
        page.goto("/")
        page.screenshot(path=f"/tmp/shot_{name}_home.png")
        context.close()
