"""How the interface looks: paper, ink and ultramarine; fonts that come with Gradio or the system, none from the net."""

import gradio as gr

ULTRAMARINE = gr.themes.Color(
    c50="#f1f3fc", c100="#e3e7f8", c200="#c9d0f1", c300="#a4b0e6", c400="#7d8cd8", c500="#5a6bc8", c600="#4153b3",
    c700="#344394", c800="#2d3a78", c900="#283361", c950="#1a203c", name="ultramarine")

THEME = gr.themes.Base(
    primary_hue=ULTRAMARINE,
    secondary_hue=ULTRAMARINE,
    neutral_hue=gr.themes.colors.stone,
    radius_size=gr.themes.sizes.radius_lg,
    font=(gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
    font_mono=("ui-monospace", "Menlo", "Consolas", "monospace"),
).set(
    body_background_fill="#faf8f5",
    body_background_fill_dark="#14120f",
    background_fill_primary_dark="#1c1a17",
    background_fill_secondary="#f5f2ed",
    background_fill_secondary_dark="#23201c",
    block_background_fill="white",
    block_background_fill_dark="#1c1a17",
    block_border_color="#e9e4dc",
    block_border_color_dark="#33302b",
    border_color_primary="#e2dcd2",
    border_color_primary_dark="#3a3631",
    block_shadow="none",
    block_label_background_fill="rgb(255 255 255 / 0.85)",
    block_label_background_fill_dark="rgb(28 26 23 / 0.85)",
    block_label_border_width="0px",
    block_label_text_color="*neutral_500",
    block_label_text_color_dark="*neutral_400",
    block_title_text_color="*neutral_700",
    block_title_text_color_dark="*neutral_200",
    block_title_text_weight="600",
    input_background_fill="#faf8f5",
    input_background_fill_dark="#23201c",
    button_border_width="1px",
    button_primary_border_color="transparent",
    button_primary_border_color_dark="transparent",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_hover="*primary_600",
    button_primary_background_fill_dark="*primary_500",
    button_primary_background_fill_hover_dark="*primary_400",
    button_primary_text_color="white",
    button_secondary_background_fill="white",
    button_secondary_background_fill_hover="#f5f2ed",
    button_secondary_background_fill_dark="#2a2723",
    button_secondary_background_fill_hover_dark="#36322d",
    button_secondary_border_color="#e2dcd2",
    button_secondary_border_color_dark="#3a3631",
    slider_color="*primary_600",
    slider_color_dark="*primary_400",
    checkbox_label_background_fill_selected="*primary_50",
    checkbox_label_background_fill_selected_dark="*primary_950",
    checkbox_label_text_color_selected="*primary_800",
    checkbox_label_text_color_selected_dark="*primary_200",
    checkbox_label_border_color_selected="*primary_300",
    checkbox_label_border_color_selected_dark="*primary_800",
)

CSS = """
.gradio-container { width: 100%; max-width: 1240px !important; margin: 0 auto !important; }
#header { padding: 20px 4px 4px; }
#header h1 { font-family: "Iowan Old Style", "Palatino Linotype", Palatino, "Book Antiqua", Georgia, serif;
    font-weight: 500; font-size: 34px; letter-spacing: -0.01em; margin: 0; }
#header p { color: var(--body-text-color-subdued); font-size: 16px; margin: 4px 0 0; }
/* a preview of a small scale fills the frame as the full picture will */
.result .image-frame img { width: 100%; height: 100%; object-fit: contain; }
.weight input[type="range"] { min-width: 0; }
.weight .min_value, .weight .max_value { display: none; }
.prose.legend { display: flex; flex-wrap: wrap; gap: 4px 20px; padding: 0 12px; color: var(--body-text-color-subdued); }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 8px;
    vertical-align: middle; }
/* the table of example pairs as cards */
[id^="examples-"] thead { display: none; }
[id^="examples-"] .table-wrap, [id^="examples-"] table { border: 0; padding: 0; background: none;
    box-shadow: none; }
[id^="examples-"] tbody { display: grid; grid-template-columns: repeat(auto-fill, minmax(150px, 1fr)); gap: 12px; }
[id^="examples-"] tr { display: flex; border: 1px solid var(--border-color-primary); border-radius: var(--radius-lg);
    background: var(--block-background-fill); overflow: hidden; }
[id^="examples-"] tr:hover { border-color: var(--slider-color); }
[id^="examples-"] td { flex: 1; padding: 0 !important; border: 0; }
[id^="examples-"] td .container { width: 100%; height: 84px; border: 0; border-radius: 0; }
[id^="examples-"] td img { width: 100%; height: 100%; object-fit: cover; border-radius: 0; }
.status { color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; min-height: 24px; }
.status progress { display: block; width: 100%; height: 4px; margin: 6px 0 10px; border: 0; border-radius: 2px;
    overflow: hidden; appearance: none; background: var(--border-color-primary); }
.status progress::-webkit-progress-bar { background: var(--border-color-primary); }
.status progress::-webkit-progress-value { background: var(--slider-color); }
.status progress::-moz-progress-bar { background: var(--slider-color); }
"""
