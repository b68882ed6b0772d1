"""What the page makes of the signatures and answers of every kind of model; no server is asked."""

import base64
import io

import browser as browsers
import pytest
from browser import SCROLLS, Watched, until
from PIL import Image

IMAGE = {"image_bytes": {"dtype": "string", "shape": [None]}}
HOST = "http://models.test"


@pytest.fixture(scope="module")
def browser():
    with browsers.started() as browser:
        yield browser


@pytest.fixture
def watched(browser):
    """A page that must have no error, and asks nobody else."""
    page = Watched(browser, HOST)
    yield page
    page.close(said=["Failed to load resource"])


def spec(dtype="float32", *shape, **more):
    return {"dtype": dtype, "shape": [None, *shape], **more}


def setting(dtype, default):
    return {"dtype": dtype, "shape": [], "default": default}


def model(name, inputs, outputs, examples=(), assets=None, **signatures):
    signatures = {"serving_default": {"inputs": inputs, "outputs": outputs}, **signatures}
    return {
        "name": name,
        "version": 2,
        "versions": [{"version": 2, "state": "AVAILABLE", "labels": [], "message": ""}],
        "recipe": None,
        "created": None,
        "metrics": {"test_loss": "nan"},
        "assets": assets or {},
        "examples": {"serving_default": list(examples)} if examples else {},
        "signatures": signatures,
        "warning": None,
    }


def picture(width=40, height=30):
    file = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(file, "PNG")
    return {"image_bytes": {"b64": base64.b64encode(file.getvalue()).decode()}}


def try_example(watched, shown, answer):
    """Open a model, click its first example, and return what was sent."""
    sent = []
    watched.fake([shown], lambda body: sent.append(body) or answer)
    page = watched.open(shown["name"])
    page.locator(".examples button").first.click()
    page.wait_for_selector(".answer > *")
    return page, sent


def colours(page, places):
    """Return the colours of the drawing at parts of its sides."""
    code = """(c, places) => places.map(([x, y]) => [...c.getContext('2d').getImageData(
        Math.round(x * c.width), Math.round(y * c.height), 1, 1).data].slice(0, 3))"""
    return page.locator(".seen canvas").evaluate(code, places)


def test_boxes_are_drawn_where_they_are(watched):
    outputs = {name: spec() for name in ("boxes", "scores", "class_ids", "class_names")}
    outputs["num_detections"] = spec("int32")
    settings = {"score_threshold": setting("float32", 0.5)}
    detect = {"inputs": IMAGE | settings, "outputs": outputs}
    shown = model("ssd", IMAGE, outputs, [picture()], detect=detect)
    answer = {
        "boxes": [[[10, 15, 30, 27], [0, 0, 0, 0]]],
        "scores": [[0.93, 0.0]],
        "class_ids": [[1, -1]],
        "class_names": [["tree", ""]],
        "num_detections": [1],
    }
    page, sent = try_example(watched, shown, {"outputs": answer})
    assert sent[0]["signature_name"] == "detect"  # its threshold has a default
    page.get_by_text("The request as curl").click()
    command = page.locator(".command code").last.inner_text()
    assert picture()["image_bytes"]["b64"] in command  # no file has the example
    assert page.locator(".legend li").all_inner_texts() == [" tree 93.0 %"]
    edge, outside, inside = colours(page, [(0.25, 0.8), (0.1, 0.8), (0.5, 0.8)])
    assert outside == inside == [255, 255, 255] != edge
    page.get_by_text("Settings").click()
    page.get_by_label("Score threshold").fill("0.2")
    until(page, lambda: len(sent) == 2)
    assert sent[1]["inputs"]["score_threshold"] == 0.2


def test_a_picture_is_dropped_and_pasted(watched):
    shown = model("net", IMAGE, {"probabilities": spec("float32", 2)})
    sent = []
    watched.fake([shown], lambda body: sent.append(body) or {"outputs": [[0.25, 0.75]]})
    page = watched.open("net")
    text = picture()["image_bytes"]["b64"]
    give = """([event, target, text]) => {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        const data = new DataTransfer();
        data.items.add(new File([bytes], "given.png", { type: "image/png" }));
        const options = { bubbles: true, cancelable: true };
        const [Kind, key] = event === "drop"
            ? [DragEvent, "dataTransfer"] : [ClipboardEvent, "clipboardData"];
        document.querySelector(target).dispatchEvent(new Kind(event, { ...options, [key]: data }));
    }"""
    for number, event in enumerate([("drop", ".drop"), ("paste", "body")], 1):
        page.evaluate(give, [*event, text])
        until(page, lambda number=number: len(sent) == number)
        assert sent[-1]["inputs"] == {"image_bytes": [{"b64": text}]}
    page.wait_for_selector(".bars")
    assert page.locator(".bars li").all_inner_texts() == ["class 1\n75.0 %", "class 0\n25.0 %"]


def test_regions_have_their_colours_and_a_legend(watched):
    outputs = {name: spec() for name in ("mask", "sizes", "mask_png", "class_names")}
    rows = [[0] * 30 + [2] * 10] * 30
    answer = {
        "mask": [rows],
        "sizes": [[30, 40]],
        "mask_png": ["?"],
        "class_names": [["a", "b", "<c>"]],
    }
    shown = model("fcn", IMAGE, outputs, [picture()])
    page, _ = try_example(watched, shown, {"outputs": answer})
    assert page.locator(".legend li").all_inner_texts() == [" a 75.0 %", " <c> 25.0 %"]
    left, more, right = colours(page, [(0.1, 0.5), (0.7, 0.5), (0.8, 0.5)])
    assert left == more != right


def test_a_sentence_is_translated_with_what_was_left_out(watched):
    text, outputs = {"text": spec("string")}, {"translation": spec("string"), "score": spec()}
    outputs["words_left_out"] = spec("int32")
    settings = {"beam_size": setting("int32", 4)}
    translate = {"inputs": text | settings, "outputs": outputs}
    shown = model("mt", text, outputs, [{"text": "Two dogs."}], translate=translate)
    answer = {"translation": ["<b>deux</b> chiens ."], "score": [-0.5], "words_left_out": [1]}
    page, sent = try_example(watched, shown, {"outputs": answer})
    assert sent == [{"signature_name": "translate", "inputs": {"text": ["Two dogs."]}}]
    assert page.locator(".written").inner_text() == "<b>deux</b> chiens ."
    assert "1 word was left out: not read." in page.locator(".notes").inner_text()


def test_two_sentences_have_a_map_of_what_looks_at_what(watched):
    sides = ("hypothesis", "premise")  # signatures have them in this order
    inputs = {side: spec("string") for side in sides}
    outputs = {name: spec() for name in ("label", "probabilities", "class_ids", "attention")}
    outputs |= {f"{side}_tokens": spec("string") for side in sides}
    row = {"premise": "he is", "hypothesis": "bad"}
    answer = {
        "label": ["no"],
        "probabilities": [[0.2, 0.8]],
        "class_ids": [1],
        "attention": [[[1.0, 0.0], [0.25, 0.0], [0.0, 0.0]]],
        "hypothesis_tokens": [["bad", ""]],
        "premise_tokens": [["he", "is", ""]],
    }
    shown = model("pairs", inputs, outputs, [row], {"class_names": ["yes", "no"]})
    page, _ = try_example(watched, shown, {"outputs": answer})
    assert page.locator(".bars .name").all_inner_texts() == ["no", "yes"]
    assert page.locator("form label").all_inner_texts() == ["Premise", "Hypothesis"]
    rows = page.locator(".heat tbody tr").all_text_contents()
    assert rows == ["he100.0 %", "is25.0 %"]


def test_words_for_a_mask_and_neighbours_are_bars(watched):
    masked = {"words": spec(), "probabilities": spec(), "words_known": spec("int32")}
    shown = model("bert", {"text": spec("string")}, masked, [{"text": "a <mask>"}])
    answer = {"words": [[["cat", "dog"]]], "probabilities": [[[0.75, 0.25]]], "words_known": [0]}
    page, _ = try_example(watched, shown, {"outputs": answer})
    assert page.locator(".bars .name").all_inner_texts() == ["cat", "dog"]
    assert "knows none of the words" in page.locator(".notes").inner_text()


def test_a_model_that_has_no_form_can_be_asked_with_json(watched):
    strange = model("strange", {"x": spec("float32", None, 3)}, {"y": spec()})
    strange["warning"] = "not exported by kerasd2l"
    watched.fake([strange], {"outputs": [[1.5, float("nan")]]})
    page = watched.open()
    assert "not exported" in page.locator(".warning").inner_text()
    assert '"x": [[[0, 0, 0]]]' in page.get_by_label("Body of the request").input_value()
    page.get_by_role("button", name="Ask the model").click()
    page.wait_for_selector(".answer pre")
    assert page.locator(".answer pre").inner_text() == '{"outputs": [[1.5, NaN]]}'


@pytest.mark.parametrize(
    ("status", "words"), [(503, "try again in a moment"), (504, "took too long"), (400, "not well")]
)
def test_a_refusal_is_told_in_words(watched, status, words):
    shown = model("m", {"text": spec("string")}, {"text": spec("string")}, [{"text": "<i>x</i>"}])
    watched.fake([shown], {"error": "not well <i>said</i>"}, status)
    page = watched.open("m")
    page.locator(".examples button").click()
    alert = page.get_by_role("alert").locator("p").inner_text()
    assert words in alert and "<i>said</i>" in alert


def test_a_newer_version_takes_over_what_was_typed(watched):
    shown = model("m", {"text": spec("string")}, {"text": spec("string")})
    watched.fake([shown], {"error": "Servable not found for request"}, 404)
    page = watched.open("m")
    page.get_by_label("Text").fill("typed")
    page.unroute_all()
    newer = shown | {"version": 3}
    asked = []
    watched.fake([newer], lambda body: asked.append(body) or {"outputs": ["said"]})
    page.route(
        "**/versions/2:predict", lambda route: route.fulfill(status=404, json={"error": "x"})
    )
    page.get_by_role("button", name="Ask the model").click()
    page.wait_for_selector(".written")
    assert asked[0]["inputs"] == {"text": ["typed"]}
    assert page.get_by_label("Text").input_value() == "typed"
    assert "Version 3" in page.locator(".subtitle").inner_text()


def test_an_empty_folder_says_what_to_do_and_a_model_appears_by_itself(watched):
    watched.fake([])
    page = watched.open()
    assert "kerasd2l train" in page.locator("main").inner_text()
    page.unroute_all()
    watched.fake([model("first", {"text": spec("string")}, {"text": spec("string")})])
    until(page, lambda: page.locator("main h2").inner_text() == "first")
    assert "dented/1 is not whole" in page.locator("#problems").inner_text()


def test_many_models_are_searched_and_wild_names_are_only_text(watched):
    names = [f"net{i}" for i in range(30)] + ["<img src=x onerror=alert(1)>", "a/b %"]
    watched.fake(
        [model(name, {"text": spec("string")}, {"text": spec("string")}) for name in names]
    )
    page = watched.open()
    page.get_by_label("Find a model").fill("a")
    assert page.locator("#models .name").all_inner_texts() == names[-2:]
    for name in names[-2:]:
        page.get_by_role("link", name=name).click()
        until(page, lambda name=name: page.locator("main h2").inner_text() == name)
    assert page.locator("img").count() == 0
    assert not page.evaluate(SCROLLS)
