// Theme and row height, as this browser stores them, that scripts run, and that they may copy: set before the first paint.
for (const name of ["theme", "density"]) {
  const value = localStorage.getItem(name);
  if (value) document.documentElement.dataset[name] = value;
}
document.documentElement.dataset.js = "";
if (navigator.clipboard) document.documentElement.dataset.clipboard = "";
