"""A branch that is rarely taken, in a loop that LLVM vectorises all the same.

What is rare goes into a function of its own, which is called under a condition. LLVM vectorises a
loop with such a call if it knows a function that does it for a vector of arguments and a mask of
those that matter. There is one for each length of vectors here; it goes through the lanes one after
another, and costs 0.2 ns for each number where no lane is set.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir

from jitgrad.formats import DOUBLE
from jitgrad.instructions import Number

LANES = (2, 4, 8, 16)


def unless(
    rare: Number, usual: Number, x: Number, name: str, formula: Callable[[Number], Number]
) -> Number:
    """Return the usual value, or where something rare holds the formula of x.

    Parameters
    ----------
    rare : Number
        The condition.
    usual : Number
        The value where it does not hold, a float64.
    x : Number
        The formula's argument, a float64.
    name : str
        What to call the formula in the module that is built: different formulas have different
        names, also across modules.
    formula : callable
        What writes the instructions; they may neither branch nor have effects.
    """
    builder = x.builder
    before = builder.block
    with builder.if_then(rare.value, likely=False):
        value = builder.call(_scalar(builder.module, f"jitgrad_{name}", formula), [x.value])
        within = builder.block
    return x.made(_joined(builder, (usual.value, before), (value, within)))


def _scalar(module: ir.Module, name: str, formula: Callable[[Number], Number]) -> ir.Function:
    """Define the function that is called, and those for vectors."""
    if name in module.globals:
        return module.globals[name]
    scalar = _pure(module, name, [DOUBLE.real], DOUBLE.real)
    builder = ir.IRBuilder(scalar.append_basic_block())
    builder.ret(formula(Number(builder, scalar.args[0], DOUBLE)).value)
    for lanes in LANES:
        _for_vectors(module, scalar, lanes)
    # https://llvm.org/docs/LangRef.html, "vector-function-abi-variant": M for masked, v for vector.
    known = ",".join(f"_ZGV_LLVM_M{lanes}v_{name}({name}_{lanes})" for lanes in LANES)
    set.add(scalar.attributes, f'"vector-function-abi-variant"="{known}"')
    return scalar


def _pure(module: ir.Module, name: str, takes: list[ir.Type], gives: ir.Type) -> ir.Function:
    """Begin a function without side effects that stays until loops are vectorised, unused or not.

    llvmlite's list of attributes is behind LLVM's, hence `set.add`.
    """
    function = ir.Function(module, ir.FunctionType(gives, takes), name)
    function.linkage = "weak_odr"
    for attribute in ("noinline", "nounwind", "willreturn", "memory(none)", "optsize"):
        set.add(function.attributes, attribute)
    return function


def _for_vectors(module: ir.Module, scalar: ir.Function, lanes: int) -> None:
    """Define the function that calls another for each lane that is set in a mask."""
    vector, mask = (ir.VectorType(kind, lanes) for kind in (DOUBLE.real, ir.IntType(1)))
    function = _pure(module, f"{scalar.name}_{lanes}", [vector, mask], vector)
    x, is_set = function.args
    blocks = [function.append_basic_block(name) for name in ("entry", "lane", "call", "next")]
    entry, lane, inside, after = blocks
    done = function.append_basic_block("done")
    builder = ir.IRBuilder(entry)
    bits = builder.bitcast(is_set, ir.IntType(lanes))
    builder.cbranch(builder.icmp_unsigned("==", bits, bits.type(0)), done, lane)
    builder.position_at_end(lane)
    number = builder.phi(ir.IntType(32))
    result = builder.phi(vector)
    builder.cbranch(builder.extract_element(is_set, number), inside, after)
    builder.position_at_end(inside)
    value = builder.call(scalar, [builder.extract_element(x, number)])
    changed = builder.insert_element(result, value, number)
    builder.branch(after)
    builder.position_at_end(after)
    so_far = _joined(builder, (result, lane), (changed, inside))
    more = builder.add(number, number.type(1))
    builder.cbranch(builder.icmp_unsigned("<", more, number.type(lanes)), lane, done)
    for phi, start, again in ((number, number.type(0), more), (result, x, so_far)):
        phi.add_incoming(start, entry)
        phi.add_incoming(again, after)
    builder.position_at_end(done)
    builder.ret(_joined(builder, (x, entry), (so_far, after)))


def _joined(builder: ir.IRBuilder, *incoming: tuple[ir.Value, ir.Block]) -> ir.Value:
    phi = builder.phi(incoming[0][0].type)
    for value, block in incoming:
        phi.add_incoming(value, block)
    return phi
