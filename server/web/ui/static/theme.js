// Theme and row height, as this browser remembers them, and that scripts run: set before the first paint.
for (const name of ["theme", "density"]) {
  const value = localStorage.getItem(name);
  if (value) document.documentElement.dataset[name] = value;
}
document.documentElement.dataset.js = "";
