"""The page in a real browser: drawing, pictures, texts, tables, and for whom it is made."""

import json
import os
import re
import urllib.request
from pathlib import Path

import browser as browsers
import keras
import numpy as np
import pytest
from browser import SCROLLS, Watched, drag, swipe, until
from PIL import Image

from kerasd2l import layers, models
from kerasd2l.data import Tokenizer, Vocab, text
from kerasd2l.endpoints import image_classifier, table_regressor, text_generator
from kerasd2l.export import export

SEVEN = [(0.3, 0.25), (0.6, 0.25), (0.4, 0.7)]
DIGITS = [str(i) for i in range(10)]
AXE = os.environ.get("KERASD2L_AXE", "/usr/share/javascript/axe-core/axe.min.js")


@pytest.fixture(scope="module")
def savedmodels(tmp_path_factory):
    """A classifier of 28 x 28 pixels, a writer and a table, as `kerasd2l export` leaves them."""
    folder = tmp_path_factory.mktemp("page") / "savedmodels"
    pixels = keras.Input((28, 28, 1))
    flat = keras.layers.Flatten()(pixels)
    digits = keras.Model(pixels, keras.layers.Dense(10, kernel_initializer="he_normal")(flat))
    pictures = image_classifier(height=28, width=28, channels=1)
    names, figures = {"class_names": DIGITS}, {"test_accuracy": 0.125}
    export(digits, "tests/digits", pictures, names, folder, name="digits", metrics=figures)

    letters = Tokenizer("char", text.LETTERS)
    vocab = Vocab([letters("the time traveller was expounding a matter to us")])
    recurrent = layers.GRU(8, return_sequences=True, return_state=True)
    model = models.language_model(len(vocab), recurrent)
    assets = {"vocabulary": vocab.tokens, "tokenizer": letters.to_assets()}
    writing = text_generator(models.step_by_step, num_tokens=12)
    export(model, "tests/writer", writing, assets, folder, name="writer")

    rows = {"area": np.array([150.0], "float32"), "street": np.array(["Pave"], object)}
    table = table_regressor(["area"], ["street"], output="price", example=lambda: rows)
    linear = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    linear.set_weights([np.array([[2.0], [0], [10], [0]]), np.array([0.5])])
    assets = {"numeric": {"area": [100.0, 50.0]}, "categorical": {"street": ["Gravel", "Pave"]}}
    export(linear, "tests/table", (table,), assets, folder, name="table")
    return folder


@pytest.fixture(scope="module")
def browser():
    with browsers.started() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(browser, savedmodels):
    with browsers.serving(savedmodels) as address:
        yield address


@pytest.fixture
def open_page(browser, address):
    """Open watched pages; at the end none may have had an error."""
    pages = []

    def make(look="desktop", said=()):
        pages.append((Watched(browser, address, look), said))
        return pages[-1][0]

    yield make
    for page, said in pages:
        page.close(said)


def seen_pixels(page):
    """Return the (28, 28) numbers that the page says the model sees."""
    code = "c => [...c.getContext('2d').getImageData(0, 0, 28, 28).data]"
    values = page.locator(".small").evaluate(code)
    return np.array(values[::4]).reshape(28, 28) / 255


def most_probable(address, pixels):
    """Ask the server itself what it takes the pixels for."""
    inputs = {"pixels": np.round(pixels, 4)[None, ..., None].tolist()}
    body = json.dumps({"signature_name": "predict", "inputs": inputs}).encode()
    request = urllib.request.Request(f"{address}/v1/models/digits:predict", body)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["outputs"]["class_names"][0]


def best(page):
    page.wait_for_selector(".best strong")
    return page.locator(".best strong").inner_text()


def written(page):
    return page.locator(".written").inner_text()


def test_a_drawing_is_asked_for_as_mnist_has_its_digits(open_page, address):
    page = open_page().open("digits")
    drag(page, SEVEN)
    drag(page, [(0.42, 0.5), (0.55, 0.5)])
    pixels = seen_pixels(page)
    right = most_probable(address, pixels)
    until(page, lambda: best(page) == right)
    ink_rows, ink_columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    height, width = np.ptp(ink_rows) + 1, np.ptp(ink_columns) + 1
    assert 20 <= max(height, width) <= 21  # a line may end within a pixel
    assert min(height, width) / max(height, width) == pytest.approx(0.3 / 0.45, abs=0.1)
    places = np.arange(28) + 0.5
    mass = [(pixels.sum(axis) * places).sum() / pixels.sum() for axis in (0, 1)]
    assert mass == pytest.approx([14, 14], abs=0.5)
    assert pixels.max() == 1 and 0.02 < pixels.mean() < 0.3
    page.get_by_role("button", name="Undo").click()
    without = seen_pixels(page)
    assert without.sum() < pixels.sum()
    page.get_by_role("button", name="Clear").click()
    assert seen_pixels(page).sum() == 0 and page.locator(".best").count() == 0


def test_the_request_can_be_copied_as_a_command(open_page):
    page = open_page().open("digits")
    drag(page, SEVEN)
    best(page)
    page.get_by_text("The request as curl").click()
    command = page.locator(".command code").last.inner_text()
    assert re.match(r"curl -s 'http://\S+/v1/models/digits/versions/1:predict' -d '\{", command)
    body = json.loads(command.split("-d '")[1].rstrip("'"))
    assert body["signature_name"] == "predict"
    assert np.shape(body["inputs"]["pixels"]) == (1, 28, 28, 1)


def test_a_finger_draws_on_a_phone_and_nothing_sticks_out(open_page):
    page = open_page("phone").open("digits")
    swipe(page, [(0.3, 0.2), (0.4, 0.4), (0.5, 0.6), (0.6, 0.8)])
    assert best(page) in DIGITS
    assert seen_pixels(page).sum() > 20
    assert not page.evaluate(SCROLLS)


def test_a_digit_is_drawn_with_the_keyboard_alone(open_page):
    page = open_page().open("digits")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.className") == "pad":
            break
    page.keyboard.press("Space")
    for key in ["ArrowDown"] * 5 + ["ArrowRight"] * 3:
        page.keyboard.press(key)
    page.keyboard.press("Space")
    page.keyboard.press("ArrowLeft")  # the pen is lifted: no line
    assert best(page) in DIGITS
    pixels = seen_pixels(page)
    assert np.ptp(np.flatnonzero(pixels.any(1))) > np.ptp(np.flatnonzero(pixels.any(0)))
    assert "Most probable" in page.get_by_role("status").first.inner_text()
    page.keyboard.press("Backspace")
    assert seen_pixels(page).sum() == 0


def test_a_chosen_file_is_classified_and_a_broken_one_is_told_in_words(open_page, tmp_path):
    page = open_page(said=["Failed to load resource", "400"]).open("digits/serving_default")
    picture, broken = tmp_path / "one's.png", tmp_path / "broken.png"
    Image.fromarray(np.eye(40, dtype=np.uint8) * 255).save(picture)
    broken.write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    field = page.locator("input[type=file]").first
    field.set_input_files(picture)
    assert best(page) in DIGITS
    assert page.locator(".bars li").count() == 10
    assert "40 x 40 pixels" in page.locator(".preview").inner_text()
    page.get_by_text("The request as curl").click()
    assert "base64 < 'one'\\''s.png'" in page.locator(".command code").last.inner_text()
    field.set_input_files(broken)
    words = page.get_by_role("alert").locator("p").inner_text()
    assert len(words) > 20 and "Traceback" not in words and "{{" not in words
    assert page.locator(".best").count() == 0


def test_a_photograph_that_lies_on_its_side_is_turned(open_page, tmp_path):
    page = open_page().open("digits/serving_default")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 30), "white").save(tmp_path / "phone.jpg", exif=exif)
    page.locator("input[type=file]").first.set_input_files(tmp_path / "phone.jpg")
    best(page)
    assert "30 x 60 pixels" in page.locator(".preview").inner_text()
    assert "lay on its side" in page.locator(".preview").inner_text()


def test_a_text_is_continued_and_stopped(open_page):
    page = open_page().open("writer")
    field = page.get_by_label("Beginning of the text")
    field.fill("The time")
    page.get_by_label("Tokens to write").fill("7")
    page.get_by_role("button", name="Write on", exact=True).click()
    until(page, lambda: len(written(page)) == len("the time") + 7)
    assert written(page).startswith("the time")
    page.get_by_label("Tokens to write").fill("5000")
    page.get_by_role("button", name="Go on from here").click()
    until(page, lambda: len(written(page)) > 20)
    page.get_by_role("button", name="Stop").click()
    stopped = written(page)
    page.wait_for_timeout(300)
    assert written(page) == stopped
    assert field.input_value() == stopped[:15]


def test_a_row_of_a_table_is_filled_in(open_page):
    page = open_page().open("table")
    page.get_by_label("Area").fill("two")
    page.get_by_label("Street").fill("Pave")
    page.get_by_role("button", name="Ask the model").click()
    assert 'Area must be a number, not "two".' in page.get_by_role("alert").inner_text()
    page.get_by_label("Area").fill("150")
    page.keyboard.press("Enter")
    page.wait_for_selector(".answer dd")
    assert page.locator(".answer dd").inner_text() == "12.5"  # 2 (150 - 100) / 50 + 10 + 0.5
    page.get_by_label("Area").fill("")  # not known: the mean
    page.keyboard.press("Enter")
    until(page, lambda: page.locator(".answer dd").inner_text() == "10.5")


def test_json_can_always_be_written(open_page):
    page = open_page(said=["Failed to load resource"]).open("table/json")
    body = page.get_by_label("Body of the request")
    assert json.loads(body.input_value())["inputs"].keys() == {"area", "street"}
    body.fill('{"instances": [{"area": NaN, "street": "Gravel"}]}')
    page.get_by_role("button", name="Ask the model").click()
    page.wait_for_selector(".answer pre")
    assert json.loads(page.locator(".answer pre").inner_text()) == {"predictions": [0.5]}
    body.fill('{"instances": [')
    page.get_by_role("button", name="Ask the model").click()
    assert "JSON Parse error" in page.get_by_role("alert").locator("p").inner_text()


def test_the_list_says_what_is_served(open_page, savedmodels):
    page = open_page().open("digits")
    items = page.locator("#models li").all_inner_texts()
    assert [item.split("\n")[0] for item in items] == ["digits", "table", "writer"]
    assert "12.5 % test accuracy" in items[0]
    assert "tests/digits" in page.locator(".subtitle").inner_text()
    assert "Version 1 is served" in page.locator(".facts").inner_text()
    page.get_by_role("link", name="writer").click()
    page.wait_for_selector("textarea")
    assert page.title() == "writer - kerasd2l"
    assert page.evaluate("document.activeElement.id") == "model"


SLOW = [pytest.param(look, marks=pytest.mark.slow) for look in ("dark", "phone")]


@pytest.mark.parametrize("look", ["desktop", *SLOW])
def test_axe_finds_nothing(open_page, look):
    if not Path(AXE).is_file():
        pytest.skip(f"axe-core is not at {AXE}; KERASD2L_AXE says where it is")
    page = open_page(look).open("digits")
    swipe(page, SEVEN) if look == "phone" else drag(page, SEVEN)
    best(page)
    places = ["digits", "digits/serving_default", "writer", "table", "table/json", "nobody"]
    for place in places:
        if place != "digits":
            page.evaluate("place => { location.hash = place; }", place)
            page.wait_for_timeout(100)
        page.evaluate(Path(AXE).read_text("utf8"))
        found = page.evaluate("axe.run()")["violations"]
        assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], place
        assert not page.evaluate(SCROLLS)
