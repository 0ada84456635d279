// Search within a page.

// Hides the entries that do not have every term of the search; returns a function that filters again after a change.
export function search(field, entries, none) {
  const filter = () => {
    const terms = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let [count, all] = [0, 0];
    for (const each of entries()) {
      each.hidden = !terms.every((term) => each.dataset.find.includes(term));
      count += !each.hidden;
      all += 1;
    }
    for (const group of document.querySelectorAll(".groups > div, section.routes")) group.hidden = ![...group.querySelectorAll("[data-find]")].some((each) => !each.hidden);
    none.hidden = count > 0 || !all;
  };
  field.addEventListener("input", filter);
  field.addEventListener("keydown", ({ key }) => { if (key === "Escape") { field.value = ""; filter(); } });
  filter();
  return filter;
}
