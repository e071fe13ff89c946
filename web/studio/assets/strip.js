// The photos of the page; the one that is clicked is looked at.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-pick]");
  if (!button) return;
  props.value = { ...props.value, pick: Number(button.dataset.pick) };
  trigger("click");
});
