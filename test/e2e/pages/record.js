/* SPDX-License-Identifier: ISC */
/* Notes what happens on a page in window.log, for the tests to read. */
var log = [];

function note(type, data, more) {
	var entry = { type: type, data: data === undefined ? null : data };

	Object.keys(more || {}).forEach(function (key) {
		entry[key] = more[key];
	});
	log.push(entry);
}

/* The DOM events of sse.js on an element. */
function record(element, types) {
	types.forEach(function (type) {
		element.addEventListener("sse:" + type, function (e) {
			if (e.target === element)
				note(type, e.detail,
					{ id: e.id, name: e.name, raw: e.raw });
		});
	});
}
