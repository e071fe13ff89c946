// The written clip, and buttons that show a time in it. See video.py.
element.addEventListener("click", (event) => {
  const button = event.target.closest("[data-at]");
  const video = element.querySelector("video");
  if (!button || !video) return;
  video.pause();
  video.currentTime = Number(button.dataset.at);
  video.scrollIntoView({ block: "nearest" });
});
