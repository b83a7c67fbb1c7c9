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
    body_background_fill="#faf8f5", body_background_fill_dark="#14120f", background_fill_primary_dark="#1c1a17",
    background_fill_secondary="#f5f2ed", background_fill_secondary_dark="#23201c",
    block_background_fill="white", block_background_fill_dark="#1c1a17",
    block_border_color="#e9e4dc", block_border_color_dark="#33302b",
    border_color_primary="#e2dcd2", border_color_primary_dark="#3a3631",
    body_text_color_subdued="*neutral_600", body_text_color_subdued_dark="*neutral_400",
    block_info_text_color="*neutral_600", block_info_text_color_dark="*neutral_400", block_shadow="none",
    block_label_background_fill="rgb(255 255 255 / 0.85)", block_label_background_fill_dark="rgb(28 26 23 / 0.85)",
    block_label_border_width="0px",
    block_label_text_color="*neutral_600", block_label_text_color_dark="*neutral_400",
    block_title_text_color="*neutral_700", block_title_text_color_dark="*neutral_200", block_title_text_weight="600",
    input_background_fill="#faf8f5", input_background_fill_dark="#23201c", button_border_width="1px",
    button_primary_border_color="transparent", button_primary_border_color_dark="transparent",
    button_primary_background_fill="*primary_700", button_primary_background_fill_hover="*primary_600",
    button_primary_background_fill_dark="*primary_500", button_primary_background_fill_hover_dark="*primary_600",
    button_primary_text_color="white", button_secondary_background_fill="white",
    button_secondary_background_fill_hover="#f5f2ed", button_secondary_background_fill_dark="#2a2723",
    button_secondary_background_fill_hover_dark="#36322d",
    button_secondary_border_color="#e2dcd2", button_secondary_border_color_dark="#3a3631",
    slider_color="*primary_600", slider_color_dark="*primary_400",
    checkbox_label_background_fill_selected="*primary_50", checkbox_label_background_fill_selected_dark="*primary_950",
    checkbox_label_text_color_selected="*primary_800", checkbox_label_text_color_selected_dark="*primary_200",
    checkbox_label_border_color_selected="*primary_300", checkbox_label_border_color_selected_dark="*primary_800",
)
