from .codesign.page import write_codesign_page as write_codesign_page
from .demo.page import write_overview as write_overview
from .demo.page import write_report as write_report
from .demo.run import run_demo as run_demo
from .figures.amplifier import amplifier_plot as amplifier_plot
from .figures.cost import sweep_plot as sweep_plot
from .figures.error_budget import error_budget_plot as error_budget_plot
from .figures.landscape import landscape_plot as landscape_plot
from .figures.program import draw_program as draw_program
from .figures.program import write_picture as write_picture
from .figures.study import study_plot as study_plot
from .program_page import write_page as write_page

__all__ = [
    "amplifier_plot",
    "draw_program",
    "error_budget_plot",
    "landscape_plot",
    "run_demo",
    "study_plot",
    "sweep_plot",
    "write_codesign_page",
    "write_overview",
    "write_page",
    "write_picture",
    "write_report",
]
