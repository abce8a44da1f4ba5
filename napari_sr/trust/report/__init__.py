"""An assessment as one page that opens anywhere, or as JSON."""

from napari_sr.trust.report.methods import methods_paragraph
from napari_sr.trust.report.writing import as_html, check_form, write_report

__all__ = ["as_html", "check_form", "methods_paragraph", "write_report"]
