"""What is compiled runs also where its machine code can't be kept."""

from widedeep.features.compiled import compiled


def test_a_function_without_a_place_for_its_code_is_compiled_all_the_same():
    namespace = {}
    exec("def doubled(x):\n    return 2 * x\n", namespace)  # noqa: S102  numba finds no file, so no folder to write to
    assert compiled(namespace["doubled"])(21) == 42


def test_division_by_zero_is_infinity_as_in_numpy_and_torch():
    def share(x):
        return 1.0 / x

    assert compiled(share)(0.0) == float("inf")
