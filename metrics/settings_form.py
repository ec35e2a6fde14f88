"""The fields of the settings page: their words and bounds."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from metrics.archiving import INTERVALS
from metrics.configuration import MAX_DAYS, MAX_INTERVAL, is_cpu_selection

LEAST_MB, MOST_MB = 10, 2**31
LONGEST_CPUS = 500


def whole(label: str, low: int, high: int, help_text: str, required: bool = True) -> Any:
    """Return a field for a whole number, with one sentence for all that can be wrong."""
    words = f"It is a whole number from {low:,} to {high:,}."
    kinds = ("required", "invalid", "min_value", "max_value")
    return forms.IntegerField(
        label=label,
        min_value=low,
        max_value=high,
        help_text=help_text,
        required=required,
        error_messages=dict.fromkeys(kinds, words),
        widget=forms.NumberInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )


class SettingsForm(forms.Form):
    """All that an administrator can set; its names are those of the columns and inner keys."""

    use_required_attribute = False

    interval_seconds = whole(
        *("Take a sample every", 1, MAX_INTERVAL),
        f"Seconds, 1 to {MAX_INTERVAL:,}. It takes effect within two seconds.",
    )
    perf_events_enabled = forms.BooleanField(
        label="Count performance events",
        required=False,
        help_text="Cycles, instructions, cache misses, page faults: from the next sample on.",
    )
    perf_events_cpus = forms.CharField(
        label="On these CPUs",
        max_length=LONGEST_CPUS,
        help_text="“all”, or numbers and ranges such as 0-3,5",
        error_messages={"required": "It is “all” or CPU numbers such as 0-3,5."},
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    archive_enabled = forms.BooleanField(
        label="Clean up every hour",
        required=False,
        help_text="Without it nothing is deleted or downsampled by itself.",
    )
    retention_days = whole(
        *("Keep samples for", 1, MAX_DAYS),
        f"Days, 1 to {MAX_DAYS:,}. What is older is deleted.",
    )
    downsample_after_days = whole(
        *("Downsample them after", 1, MAX_DAYS),
        "Days. As many as samples are kept for, or more: never.",
    )
    downsample_interval = forms.ChoiceField(
        label="To one every",
        choices=[(name, name) for name in INTERVALS],
        help_text="Each holds mean, lowest and highest values.",
        error_messages={"invalid_choice": f"It is one of: {', '.join(INTERVALS)}."},
    )
    max_mb = whole(
        *("At most", LEAST_MB, MOST_MB),
        "MB, or nothing for no bound. Beyond it the oldest go first, whatever their age.",
        required=False,
    )

    def clean_perf_events_cpus(self) -> str:
        """Refuse what is no selection of CPUs."""
        text: str = self.cleaned_data["perf_events_cpus"]
        if not is_cpu_selection(text):
            raise ValidationError("It is “all” or CPU numbers such as 0-3,5.")
        return text


NAMES = tuple(SettingsForm.base_fields)
UNITS = {
    "interval_seconds": "s",
    "retention_days": "days",
    "downsample_after_days": "days",
    "max_mb": "MB",
}


def text_of(value: Any) -> str:
    """Return a value as a browser sends it back: "on" or nothing for yes and no."""
    if value is None or value is False:
        return ""
    return "on" if value is True else str(value)


def words_of(name: str, text: str) -> str:
    """Return what a browser sent as people read it."""
    if name.endswith("_enabled"):
        return "on" if text else "off"
    return f"{text} {UNITS[name]}" if text and name in UNITS else text or "none"
