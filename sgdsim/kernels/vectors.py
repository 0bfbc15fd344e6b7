"""Vector code that the compiler does not find by itself: four scalar products at once, and a hint to fetch memory."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from sgdsim.kernels.normals import LANES

_FUSED = ("contract",)


def _data(context: Any, builder: Any, signature: Any, arguments: Any, which: int) -> Any:
    return context.make_array(signature.args[which])(context, builder, arguments[which]).data


@intrinsic
def prefetch(_: Any, array: Any, position: Any) -> Any:
    """Fetch the cache line of array.flat[position], of a contiguous array; the position is not checked."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = builder.gep(_data(context, builder, signature, arguments, 0), [arguments[1]])
        address, number = builder.bitcast(address, ir.IntType(8).as_pointer()), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [address, number(0), number(3), number(1)])  # to read, keep close, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def four_products(_: Any, rows: Any, first: Any, points: Any, start: Any, width: Any) -> Any:
    """<row first + q, p> for q < 4, with rows of `width` numbers, a multiple of LANES, and p = points.flat[start:].

    The four sums of LANES numbers are added up together, in halves, which takes a third of the usual shuffles.
    Nothing is checked.
    """
    kind = rows.dtype

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row, point = (_data(context, builder, signature, arguments, which) for which in (0, 2))
        _, first, _, start, width = arguments
        vector, size = ir.VectorType(context.get_value_type(kind), LANES), kind.bitwidth // 8

        def load(data: Any, position: Any) -> Any:
            address = builder.bitcast(builder.gep(data, [position]), vector.as_pointer())
            return builder.load(address, align=size)

        def halves(a: Any, b: Any, run: int) -> Any:
            """[a, b], every run of numbers added to the run behind it."""
            places = [place for place in range(2 * LANES) if place // run % 2 == 0]
            low, high = (ir.Constant(ir.VectorType(ir.IntType(32), LANES), [place + more for place in places])
                         for more in (0, run))
            return builder.fadd(builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high))

        sums = [cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * LANES)) for _ in range(4)]
        begins = [builder.mul(builder.add(first, first.type(q)), width) for q in range(4)]
        with cgutils.for_range_slice(builder, width.type(0), width, width.type(LANES), width.type) as (i, _):
            p = load(point, builder.add(start, i))
            for begin, total in zip(begins, sums):
                product = builder.fmul(p, load(row, builder.add(begin, i)), flags=_FUSED)
                builder.store(builder.fadd(builder.load(total), product, flags=_FUSED), total)
        a, b, c, d = (builder.load(total) for total in sums)
        total = halves(halves(a, b, LANES // 2), halves(c, d, LANES // 2), LANES // 4)  # four runs of LANES / 4
        run = LANES // 4
        while run > 1:
            run //= 2
            turned = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [place ^ run for place in range(LANES)])
            total = builder.fadd(total, builder.shuffle_vector(total, total, turned))
        items = [builder.extract_element(total, ir.IntType(32)(q * LANES // 4)) for q in range(4)]
        return context.make_tuple(builder, signature.return_type, items)

    return types.UniTuple(kind, 4)(rows, types.intp, points, types.intp, types.intp), generate
