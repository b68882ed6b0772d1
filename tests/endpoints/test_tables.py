import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasd2l.endpoints import table_regressor
from kerasd2l.export import export
from kerasd2l.serving import InputError, load
from kerasd2l.testing import check_endpoint

ASSETS = {
    "numeric": {"area": [100.0, 50.0], "2nd floor": [0.0, 1.0]},
    "categorical": {"street": ["Gravel", "Pave"], "alley": ["Ünder", "Z"]},
}
ROWS = {
    "area": np.array([150, 100, np.nan], "float32"),
    "2nd floor": np.array([0, 2, -1], "float32"),
    "street": np.array(["Pave", "NA", "Lava"], object),
    "alley": np.array(["Ünder", "", "Z"], object),
}
# numbers standardised (missing: the mean), then Gravel, Pave, missing; Ünder, Z, missing
ENCODED = np.array(
    [
        [1, 0, 0, 1, 0, 1, 0, 0],
        [0, 2, 0, 0, 1, 0, 0, 1],
        [0, -1, 0, 0, 0, 0, 1, 0],  # a street that was not seen: zeros
    ],
    "float32",
)


def endpoint(output="price"):
    return table_regressor(
        ["area", "2nd floor"], ["street", "alley"], output=output, example=lambda: ROWS
    )


def model(width=8):
    made = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1)])
    made.set_weights([np.arange(1.0, width + 1)[:, None], np.array([0.5])])
    return made


def expected():
    return ENCODED @ np.arange(1.0, 9.0) + 0.5


def test_the_export_encodes_rows(tmp_path):
    answer = check_endpoint(endpoint(), model(), ASSETS, tmp_path)
    np.testing.assert_allclose(answer["price"], expected(), rtol=1e-6)


def test_rows_come_as_table_as_json_and_as_words(tmp_path):
    served = load(export(model(), "t/t", (endpoint(),), ASSETS, tmp_path, name="t"))
    table = tmp_path / "rows.csv"
    table.write_text(
        "Id,2nd floor,area,alley,street\n1,0,150,Ünder,Pave\n2,2,100,,NA\n3,-1,NA,Z,Lava\n", "utf8"
    )
    np.testing.assert_allclose(served.predict([str(table)])["price"], expected(), rtol=1e-6)
    row = '{"area": 150, "2nd floor": 0, "street": "Pave", "alley": "Ünder"}'
    words = ["area=150", "2nd floor=0", "street=Pave", "alley=Ünder"]
    for inputs in ([row], words):
        np.testing.assert_allclose(served.predict(inputs)["price"], expected()[:1], rtol=1e-6)
    for content, message in {
        "area,street,alley\n1,a,b\n": r"no value for column_2nd_floor",
        "area,2nd floor,street,alley\nbig,1,a,b\n": r"column area: 'big' is not a number",
        "area,2nd floor,street,alley\ninf,1,a,b\n": r"a number is infinite",
        "area,2nd floor,street,alley\n": r"has a header but no rows",
        "": r"rows\.csv is empty",
    }.items():
        table.write_text(content)
        with pytest.raises(InputError, match=message):
            served.predict([str(table)])


def test_a_table_of_numbers_only_and_of_codes_only():
    numbers = table_regressor(["area"], [], output="y", example=lambda: {})
    predict = numbers.build(model(1), {"numeric": {"area": [1.0, 2.0]}, "categorical": {}})
    np.testing.assert_allclose(predict(area=tf.constant([5.0]))["y"], [2.5])
    codes = table_regressor([], ["street"], output="y", example=lambda: {})
    predict = codes.build(model(2), {"numeric": {}, "categorical": {"street": ["a"]}})
    np.testing.assert_allclose(predict(street=tf.constant(["a", "", "b"]))["y"], [1.5, 2.5, 0.5])


def test_wrong_columns_are_refused():
    with pytest.raises(ValueError, match=r"one or more different names"):
        table_regressor([], [], output="y", example=lambda: {})
    with pytest.raises(ValueError, match=r"one or more different names"):
        table_regressor(["a b"], ["a_b", "a b"], output="y", example=lambda: {})
    with pytest.raises(ValueError, match=r"must describe the categorical columns"):
        endpoint().build(model(), {**ASSETS, "categorical": {"street": ["Pave"]}})
