// Theme and row height, as this browser remembers them: set before the first paint.
for (const name of ["theme", "density"]) {
  const value = localStorage.getItem(name);
  if (value) document.documentElement.dataset[name] = value;
}
