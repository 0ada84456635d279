// Search within a page.

// Narrows what is listed to what has every word of the search; returns what looks again after a change.
export function search(field, entries, none) {
  const look = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let [count, all] = [0, 0];
    for (const each of entries()) {
      each.hidden = !words.every((word) => each.dataset.find.includes(word));
      count += !each.hidden;
      all += 1;
    }
    for (const group of document.querySelectorAll(".groups > div, section.routes")) group.hidden = ![...group.querySelectorAll("[data-find]")].some((each) => !each.hidden);
    none.hidden = count > 0 || !all;
  };
  field.addEventListener("input", look);
  field.addEventListener("keydown", ({ key }) => { if (key === "Escape") { field.value = ""; look(); } });
  look();
  return look;
}
