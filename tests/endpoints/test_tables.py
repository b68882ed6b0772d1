import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kerasd2l.data.sets import kaggle_house
from kerasd2l.endpoints import table_regressor
from kerasd2l.endpoints.tables import input_name
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


SPELLINGS = ["", "NA", "na", " NA ", "NaN", "nan", "null", "NULL", "\tnull"]


@pytest.mark.parametrize("word", SPELLINGS)
def test_training_and_graph_agree_on_what_is_missing(tmp_path, word):
    table = pd.DataFrame({name: ["1", "2", word] for name in kaggle_house.NUMERIC})
    for column in kaggle_house.CATEGORICAL:
        table[column] = ["None", " b ", word]
    table.assign(Id=["1", "2", "3"], SalePrice="5").to_csv(tmp_path / "t.csv", index=False)
    rows = kaggle_house.read(tmp_path / "t.csv", labelled=True)
    encoding = kaggle_house.Encoding.of(rows)
    assert encoding.categorical["Alley"] == ["None", "b"], "None is a code, spaces are none"
    seen = []

    def model(x, training):
        seen.append(x.numpy())
        return x[:, :1]

    regressor = table_regressor(
        list(kaggle_house.NUMERIC), list(kaggle_house.CATEGORICAL), output="y", example=dict
    )
    columns = {input_name(name): tf.constant(table[name]) for name in kaggle_house.CATEGORICAL}
    numbers = tf.constant([1.0, 2.0, np.nan])
    columns |= {input_name(name): numbers for name in kaggle_house.NUMERIC}
    regressor.build(model, encoding.assets)(**columns)
    np.testing.assert_allclose(seen[0], encoding(rows), atol=1e-6)
    missing = [i for i, name in enumerate(encoding.names) if name.endswith("_nan")]
    assert (seen[0][2, missing] == 1).all() and seen[0].sum(1)[2] == len(missing)


def test_a_number_that_overflows_when_it_is_scaled_is_refused():
    numbers = table_regressor(["area"], [], output="y", example=dict)
    predict = numbers.build(model(1), {"numeric": {"area": [0.0, 1e-3]}, "categorical": {}})
    with pytest.raises(tf.errors.InvalidArgumentError, match="a number is infinite"):
        predict(area=tf.constant([1e37]))
