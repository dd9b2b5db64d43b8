"""Reports: figures, tables and one HTML page, from the folders of finished runs."""

from steadygrad.extras import extra

with extra("report"):
    from steadygrad.reports.comparison import (
        ComparedRun,
        Comparison,
        EvaluatedData,
        Protocol,
        compare_runs,
    )
    from steadygrad.reports.figures import (
        cost_figure,
        gallery_figure,
        inline_svg,
        robustness_figure,
        save_figure,
        training_figure,
    )
    from steadygrad.reports.figures.canvas import SeriesStyle, series_styles
    from steadygrad.reports.headline import headline
    from steadygrad.reports.page import render_report, write_report
    from steadygrad.reports.runs import RunRecord, load_run, load_runs
    from steadygrad.reports.scope import cautions
    from steadygrad.reports.tables import (
        SummaryRow,
        csv_table,
        markdown_table,
        summary_rows,
        summary_table,
    )

__all__ = [
    "ComparedRun",
    "Comparison",
    "EvaluatedData",
    "Protocol",
    "RunRecord",
    "SeriesStyle",
    "SummaryRow",
    "cautions",
    "compare_runs",
    "cost_figure",
    "csv_table",
    "gallery_figure",
    "headline",
    "inline_svg",
    "load_run",
    "load_runs",
    "markdown_table",
    "render_report",
    "robustness_figure",
    "save_figure",
    "series_styles",
    "summary_rows",
    "summary_table",
    "training_figure",
    "write_report",
]
