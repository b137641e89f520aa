for (const button of document.querySelectorAll("thead button")) {
  button.onclick = () => {
    const head = button.closest("th"), column = head.cellIndex, body = head.closest("table").tBodies[0];
    const sort = head.ariaSort === "ascending" ? "descending" : "ascending", sign = sort === "ascending" ? 1 : -1;
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sort);
    const value = row => row.cells[column].dataset.value ?? row.cells[column].textContent;
    const compare = (a, b) => {
      if (column === 0) return sign * value(a).localeCompare(value(b), undefined, { numeric: true });
      // Undefined ones stay at the end.
      if (value(a) === "" || value(b) === "") return (value(a) === "") - (value(b) === "");
      return sign * (value(a) - value(b));
    };
    body.append(...[...body.rows].sort(compare));
  };
}
