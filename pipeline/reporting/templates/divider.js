// Before and after: the divider of a view follows its slider, by keys and by the pointer. The report and web/page have it.
// label: returns what lies on the left. Returns what shows the divider where the slider is.
function divided(view, split, label) {
  const show = () => {
    view.style.setProperty("--split", `${split.value}%`);
    split.setAttribute("aria-valuetext", `${Math.round(split.value)} % ${label()}`);
  };
  const follow = (event) => {
    const { left, width } = view.getBoundingClientRect();
    split.value = 100 * (event.clientX - left) / width;
    show();
  };
  split.addEventListener("input", show);
  // Fingers may start anywhere, where a browser wants the thumb.
  split.addEventListener("pointerdown", follow);
  split.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  show();
  return show;
}
