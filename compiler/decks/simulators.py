"""How each simulator draws normal deviates, runs a netlist for die after die and shows the solutions; `docs/dialects.md` has the sources.

ngspice's commands were executed; LTspice's and Xyce's follow their references. What is written are numbers and checked names alone.
"""

from __future__ import annotations

import abc
from typing import Literal, NamedTuple

_UNSOLVED = "1e99"
"""What ngspice holds for a die until it is solved, so that one that does not converge cannot pass for a solution."""


class Runs(NamedTuple):
    """What is run and read.

    Attributes:
        dies: how many. seed: positive.
        readouts: for each unknown the two nodes whose difference it is; scales: problem units a volt.
        shared: names of the parameters that all parts of a die share, each a standard normal deviate.
        deviations: predicted standard deviation of each unknown. relative_error: predicted rms over dies.
        results: the file that the solutions are written to.
    """

    dies: int
    seed: int
    readouts: tuple[tuple[str, str], ...]
    scales: tuple[float, ...]
    shared: tuple[str, ...]
    deviations: tuple[float, ...]
    relative_error: float
    results: str

    def read(self) -> list[str]:
        """Each unknown as an expression of node voltages."""
        return [read_expression(pair, scale) for pair, scale in zip(self.readouts, self.scales, strict=True)]


def read_expression(pair: tuple[str, str], scale: float) -> str:
    """The voltage between a readout's two nodes, times the scale, as an expression of a simulator."""
    plus, minus = pair
    return f"{scale!r}*v({plus})" if minus == "0" else f"{scale!r}*(v({plus})-v({minus}))"


class Simulator(abc.ABC):
    """One simulator's way."""

    card: Literal[".param", ".global_param"] = ".param"
    """The card of a parameter that is drawn for each die."""

    def normal(self, deviation: str) -> str:
        """A normal deviate of mean 0 and this standard deviation, each time it stands in a text another one."""
        return f"agauss(0,{deviation},1)"

    def shared(self) -> float | str:
        """The value of a parameter that is a standard normal deviate, the same wherever it is named in one die."""
        return self.normal("1")

    @abc.abstractmethod
    def notes(self, runs: Runs) -> list[str]:
        """Lines for the header: the command that runs the deck, and what it shows."""

    @abc.abstractmethod
    def commands(self, runs: Runs) -> list[str]:
        """What stands after the analysis' cards."""


class Ngspice(Simulator):
    """A loop of commands: `reset` reads the netlist once more, and so draws every part anew.

    A parameter with agauss in it would be drawn for each part that names it, so what a die's parts share is set by the loop.
    """

    def shared(self) -> float | str:
        """See `Simulator.shared`: set for each die by `alterparam`."""
        return 0.0

    def notes(self, runs: Runs) -> list[str]:
        """See `Simulator.notes`."""
        return [
            "run it by: ngspice -b THIS_FILE",
            f"it writes {runs.results} into the current folder: die, x1, x2, ... of each die, problem units",
            "and prints for each unknown the nominal die's, the mean, the standard deviation over dies, and the predicted one",
        ]

    def commands(self, runs: Runs) -> list[str]:
        """Vectors in the plot `const` last when the plots of the dies' operating points are destroyed."""
        count, n = runs.dies, len(runs.scales)
        names = [f"x{k + 1}" for k in range(n)]
        columns = ("nominal", "average", "deviation", "predicted")
        lines = [".control", "set numdgt=12", "set width=200", "set nobreak", f"setseed {runs.seed}"]
        lines += ["let k=0", "let drawn=0", f"let die=vector({count})+1", f"let unknown=vector({n})+1"]
        lines += [f"let {name}=vector({count})*0+{_UNSOLVED}" for name in names]
        lines += [f"let {column}=vector({n})*0+{_UNSOLVED}" for column in columns]
        lines += ["* the nominal die, whose parts deviate by nothing", "alterparam tolerances=0", "reset", "op"]
        lines += [f"let const.nominal[{k}]={text}" for k, text in enumerate(runs.read())]
        lines += ["destroy", "alterparam tolerances=1", f"dowhile const.k < {count}"]
        for name in runs.shared:
            lines += ["let const.drawn=sgauss(0)", f"alterparam {name}=$&const.drawn"]
        lines += ["reset", "op"]
        lines += [f"let const.{name}[const.k]={text}" for name, text in zip(names, runs.read(), strict=True)]
        lines += ["destroy", "let const.k=const.k+1", "end", "setplot const"]
        lines += ["let worst=vecmax(abs(nominal))", *(f"let worst=max(worst,vecmax(abs({name})))" for name in names)]
        lines += [
            "if worst > 1e98",
            "echo error: not every die has an operating point",
            "quit 1",
            "end",
            "let square=0",
        ]
        for k, name in enumerate(names):
            lines += [
                f"let average[{k}]=mean({name})",
                f"let deviation[{k}]=sqrt(mean(({name}-average[{k}])^2)*{count}/{count - 1})",
                f"let predicted[{k}]={runs.deviations[k]!r}",
                f"let square=square+mean(({name}-nominal[{k}])^2)",
            ]
        lines += [
            f"print unknown {' '.join(columns)}",
            "let relative_rms_error=sqrt(square/length(nominal)/mean(nominal^2))",
            f"let predicted_rms_error={runs.relative_error!r}",
            "print relative_rms_error predicted_rms_error",
            "setscale die",
            "set wr_singlescale",
            "set wr_vecnames",
            f"wrdata {runs.results} {' '.join(names)}",
            "quit 0",
            ".endc",
        ]
        return lines


class LTspice(Simulator):
    """`.step` over the number of the die, with the function gauss."""

    def normal(self, deviation: str) -> str:
        """See `Simulator.normal`."""
        return f"gauss({deviation})"

    def notes(self, runs: Runs) -> list[str]:
        """See `Simulator.notes`."""
        return [
            "open it in LTspice and run it: the log lists x1, x2, ... of each die (step), problem units",
            "the seed, which decides what dies are drawn, is one of LTspice's settings; no card sets it",
        ]

    def commands(self, runs: Runs) -> list[str]:
        """The dies as steps, and a measurement of each unknown."""
        measured = [f".meas op x{k + 1} param {text}" for k, text in enumerate(runs.read())]
        return [".options measdgt=15", f".step param run 1 {runs.dies} 1", *measured]


class Xyce(Simulator):
    """`.SAMPLING` of the random operators in expressions."""

    card = ".global_param"

    def notes(self, runs: Runs) -> list[str]:
        """See `Simulator.notes`."""
        return [
            "run it by: Xyce THIS_FILE",
            "it writes the node voltages of each die, and prints the statistics of x1, x2, ..., problem units",
        ]

    def commands(self, runs: Runs) -> list[str]:
        """Samples of all operators, and the unknowns as outputs whose statistics are printed."""
        outputs = ",".join(f"{{{text}}}" for text in runs.read())
        return [
            ".sampling useExpr=true",
            f".options samples numsamples={runs.dies} sample_type=mc seed={runs.seed} stdoutput=true",
            f"+ outputs={outputs}",
        ]


SIMULATORS: dict[str, Simulator] = {"ngspice": Ngspice(), "ltspice": LTspice(), "xyce": Xyce()}
"""The simulators by their dialect's name."""
