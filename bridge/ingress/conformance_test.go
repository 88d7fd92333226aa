package ingress

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/salvor-io/salvor/internal/stream"
)

// These are the rules of CloudEvents 1.0.2, its JSON format and its HTTP binding, one
// case each, through a real request and as the event lies on the stream. attributes
// are those in addition to the required ones; data is the payload.

// kept is an event as it must lie on the stream.
type kept struct {
	attributes map[string]string
	data       string
}

type conforms struct {
	header map[string]string
	body   string
	events []kept
}

const (
	typeStructured = "application/cloudevents+json"
	typeBatch      = "application/cloudevents-batch+json"
)

// required attributes, as a start of a JSON object.
const start = `{"specversion":"1.0","id":"A234-1234-1234","source":"/mycontext","type":"com.example.someevent"`

func structured(rest string) (header map[string]string, body string) {
	return map[string]string{"Content-Type": typeStructured}, start + rest + "}"
}

func binary(more ...string) map[string]string {
	header := map[string]string{"ce-specversion": "1.0", "ce-id": "A234-1234-1234", "ce-source": "/mycontext", "ce-type": "com.example.someevent"}
	for i := 0; i < len(more); i += 2 {
		header[more[i]] = more[i+1]
	}
	return header
}

func one(data string, attributes ...string) []kept {
	e := kept{attributes: map[string]string{}, data: data}
	for i := 0; i < len(attributes); i += 2 {
		e.attributes[attributes[i]] = attributes[i+1]
	}
	return []kept{e}
}

// attributesOf are those of a stored event but the required ones.
func attributesOf(t *testing.T, header map[string][]string, data []byte) kept {
	t.Helper()
	e, err := stream.Decode(header, data)
	require.NoError(t, err)
	out := kept{attributes: map[string]string{}, data: string(e.Data())}
	for name, value := range e.Extensions() {
		out.attributes[name] = fmt.Sprint(value)
	}
	for name, value := range map[string]string{"subject": e.Subject(), "dataschema": e.DataSchema(), "datacontenttype": e.DataContentType()} {
		if value != "" {
			out.attributes[name] = value
		}
	}
	if !e.Time().IsZero() {
		out.attributes["time"] = header["ce-time"][0]
	}
	for name, want := range map[string]string{"id": "A234-1234-1234", "source": "/mycontext", "type": "com.example.someevent"} {
		got := map[string]string{"id": e.ID(), "source": e.Source(), "type": e.Type()}[name]
		if !strings.HasPrefix(got, want) {
			out.attributes[name] = got
		}
	}
	return out
}

func conforming() map[string]conforms {
	cases := map[string]conforms{
		// HTTP binding, binary content mode.
		"binary: data is the body, its type the Content-Type": {
			binary("ce-time", "2018-04-05T03:56:24Z", "Content-Type", "application/json; charset=utf-8"), `{"a": 1}`,
			one(`{"a": 1}`, "time", "2018-04-05T03:56:24Z", "datacontenttype", "application/json; charset=utf-8"),
		},
		"binary: no data":                            {binary(), "", one("")},
		"binary: data without a type":                {binary(), "\x00\xff", one("\x00\xff")},
		"binary: data of any type stays as it is":    {binary("Content-Type", "text/xml"), "<a/>", one("<a/>", "datacontenttype", "text/xml")},
		"binary: header names have no case":          {map[string]string{"CE-SPECVERSION": "1.0", "cE-iD": "A234-1234-1234", "Ce-Source": "/mycontext", "CE-type": "com.example.someevent"}, "", one("")},
		"binary: percent-encoding":                   {binary("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"), "", one("", "subject", "Euro € 😀")},
		"binary: lower-case hex digits":              {binary("ce-subject", "%e2%82%ac"), "", one("", "subject", "€")},
		"binary: one round of decoding":              {binary("ce-subject", "100%2525"), "", one("", "subject", "100%25")},
		"binary: what needs no encoding may have it": {binary("ce-subject", "%41%42"), "", one("", "subject", "AB")},
		"binary: double quotes are taken off":        {binary("ce-subject", `"a \"b\" \\ c"`), "", one("", "subject", `a "b" \ c`)},
		"binary: quoted, then percent-decoded":       {binary("ce-subject", `"a%20b"`), "", one("", "subject", "a b")},
		"binary: an encoded quote is a quote":        {binary("ce-subject", "%22a%22"), "", one("", "subject", `"a"`)},
		"binary: extensions":                         {binary("ce-comexampleextension1", "value", "ce-x2", "5", "ce-flag", "true"), "", one("", "comexampleextension1", "value", "x2", "5", "flag", "true")},
		"binary: an empty extension":                 {binary("ce-ext", ""), "", one("", "ext", "")},
		"binary: headers that are no attributes":     {binary("X-Request-Id", "1", "Cookie", "a=b"), "", one("")},
		"binary: all optional attributes": {
			binary("ce-subject", "123", "ce-time", "2018-04-05T17:31:00.123456789Z", "ce-dataschema", "https://example.com/schema#1", "Content-Type", "text/plain"), "x",
			one("x", "subject", "123", "time", "2018-04-05T17:31:00.123456789Z", "dataschema", "https://example.com/schema#1", "datacontenttype", "text/plain"),
		},
		"a structured event may have its attributes as headers besides": {
			with2(typeStructured, binary("ce-id", "other")), start + "}", one(""),
		},
		"structured: parameters of the media type": {map[string]string{"Content-Type": typeStructured + "; charset=UTF-8"}, start + "}", one("")},
		"structured: the media type has no case":   {map[string]string{"Content-Type": "Application/CloudEvents+JSON"}, start + "}", one("")},

		// Batched content mode.
		"batch: empty": {map[string]string{"Content-Type": typeBatch}, "[]", nil},
		"batch: of two": {
			map[string]string{"Content-Type": typeBatch + "; charset=utf-8"},
			"[" + start + `,"data":"<a/>","datacontenttype":"text/xml"},` + strings.Replace(start, "1234\"", "1234-2\"", 1) + `,"data":1}]`,
			append(one("<a/>", "datacontenttype", "text/xml"), one("1", "datacontenttype", "application/json")...),
		},
	}
	for name, c := range map[string]struct {
		rest string
		want []kept
	}{
		// JSON format: how types are written.
		"required attributes only":     {``, one("")},
		"null is absent":               {`,"subject":null,"time":null,"ext":null,"data":null,"data_base64":null`, one("")},
		"boolean":                      {`,"a":true,"b":false`, one("", "a", "true", "b", "false")},
		"integer":                      {`,"a":5,"b":-2147483648,"c":2147483647,"d":0`, one("", "a", "5", "b", "-2147483648", "c", "2147483647", "d", "0")},
		"string":                       {`,"a":"value","b":"größe 日本 😀","c":""`, one("", "a", "value", "b", "größe 日本 😀", "c", "")},
		"string with JSON escapes":     {`,"subject":"\u20ac \ud83d\ude00 \" \\ \/"`, one("", "subject", `€ 😀 " \ /`)},
		"binary extension is base64":   {`,"a":"AQID"`, one("", "a", "AQID")},
		"URI":                          {`,"dataschema":"urn:example:schema"`, one("", "dataschema", "urn:example:schema")},
		"URI-reference: absolute":      {`,"x":"1"`, one("", "x", "1")},
		"timestamp":                    {`,"time":"2018-04-05T17:31:00Z"`, one("", "time", "2018-04-05T17:31:00Z")},
		"timestamp with an offset":     {`,"time":"2018-04-05T17:31:00+02:00"`, one("", "time", "2018-04-05T15:31:00Z")},
		"timestamp with fractions":     {`,"time":"2018-04-05T17:31:00.5-00:00"`, one("", "time", "2018-04-05T17:31:00.5Z")},
		"timestamp in lower case":      {`,"time":"2018-04-05t17:31:00z"`, one("", "time", "2018-04-05T17:31:00Z")},
		"a long extension name":        {`,"a234567890123456789012345678901234567890":"1"`, one("", "a234567890123456789012345678901234567890", "1")},
		"a name of digits":             {`,"1":"a"`, one("", "1", "a")},
		"distributed tracing":          {`,"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=1"`, one("", "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "tracestate", "a=1")},
		"media type with parameters":   {`,"datacontenttype":"text/plain; charset=utf-8","data":"a"`, one("a", "datacontenttype", "text/plain; charset=utf-8")},
		"members in any order, spaces": {` , "data" : {"a" : [1, 2]} `, one(`{"a" : [1, 2]}`, "datacontenttype", "application/json")},

		// JSON format: data.
		"data without a type is JSON":   {`,"data":{"appinfoA":"abc","appinfoB":123}`, one(`{"appinfoA":"abc","appinfoB":123}`, "datacontenttype", "application/json")},
		"data that is a JSON string":    {`,"datacontenttype":"application/json","data":"I'm just a string"`, one(`"I'm just a string"`, "datacontenttype", "application/json")},
		"data that is a number":         {`,"data":1.5`, one("1.5", "datacontenttype", "application/json")},
		"data that is false":            {`,"data":false`, one("false", "datacontenttype", "application/json")},
		"data that is an array":         {`,"data":[]`, one("[]", "datacontenttype", "application/json")},
		"data of a type +json":          {`,"datacontenttype":"application/vnd.example+json","data":{"a":1}`, one(`{"a":1}`, "datacontenttype", "application/vnd.example+json")},
		"a string of a type +json":      {`,"datacontenttype":"application/vnd.example+json","data":"a"`, one(`"a"`, "datacontenttype", "application/vnd.example+json")},
		"data of type text/json":        {`,"datacontenttype":"text/json","data":{"a":1}`, one(`{"a":1}`, "datacontenttype", "text/json")},
		"data of another type is text":  {`,"datacontenttype":"text/xml","data":"<much wow=\"xml\"/>"`, one(`<much wow="xml"/>`, "datacontenttype", "text/xml")},
		"empty text":                    {`,"datacontenttype":"text/plain","data":""`, one("", "datacontenttype", "text/plain")},
		"binary data":                   {`,"datacontenttype":"application/vnd.apache.thrift.binary","data_base64":"AAH/"`, one("\x00\x01\xff", "datacontenttype", "application/vnd.apache.thrift.binary")},
		"binary data without a type":    {`,"data_base64":"AAH/"`, one("\x00\x01\xff")},
		"binary data with JSON escapes": {`,"data_base64":"AAH\/"`, one("\x00\x01\xff")},
		"binary data of JSON":           {`,"datacontenttype":"application/json","data_base64":"e30="`, one("{}", "datacontenttype", "application/json")},
		"empty binary data":             {`,"data_base64":""`, one("")},
	} {
		header, body := structured(c.rest)
		cases["structured: "+name] = conforms{header, body, c.want}
		cases["batch: "+name] = conforms{map[string]string{"Content-Type": typeBatch}, "[" + body + "]", c.want}
	}
	for source, want := range map[string]string{
		"https://github.com/cloudevents": "", "mailto:cncf-wg-serverless@lists.cncf.io": "", "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66": "",
		"cloudevents/spec/pull/123": "", "/sensors/tn-1234567/alerts": "", "1-555-123-4567": "", "/a%20b?c=d&e#f": "", "//host/path": "",
	} {
		if want == "" {
			want = source
		}
		cases["source "+source] = conforms{
			map[string]string{"Content-Type": typeStructured}, strings.Replace(start, "/mycontext", source, 1) + "}", one("", "source", want),
		}
		cases["binary: source "+source] = conforms{binary("ce-source", strings.ReplaceAll(source, "%", "%25")), "", one("", "source", want)}
	}
	return cases
}

func with2(mediaType string, header map[string]string) map[string]string {
	header["Content-Type"] = mediaType
	return header
}

func TestConforms(t *testing.T) {
	e := newEndpoint(t, func(c *Config) { c.Options.Rate = 0 })
	namespaces := 0
	for name, c := range conforming() {
		t.Run(name, func(t *testing.T) {
			namespaces++ // a case has one of its own, so that it has no duplicates
			before := len(e.stored())
			code, _, body := e.post(fmt.Sprintf("/events/n%d", namespaces), c.header, c.body)
			require.Equal(t, http.StatusAccepted, code, body)
			assert.JSONEq(t, fmt.Sprintf(`{"accepted":%d,"duplicates":0}`, len(c.events)), body)
			var got []kept
			for _, msg := range e.stored()[before:] {
				got = append(got, attributesOf(t, msg.Header, msg.Data))
			}
			assert.ElementsMatch(t, c.events, got)
		})
	}
}

// What the specification forbids is refused, with the attribute at fault.
func TestDoesNotConform(t *testing.T) {
	type refused struct {
		header    map[string]string
		body      string
		attribute string
	}
	cases := map[string]refused{
		"binary: data as a header":            {binary("ce-data", "x"), "", "data"},
		"binary: datacontenttype as a header": {binary("ce-datacontenttype", "text/plain"), "x", "datacontenttype"},
		"binary: an empty subject":            {binary("ce-subject", ""), "", "subject"},
		"binary: an empty id":                 {binary("ce-id", ""), "", "id"},
		"binary: a name with a hyphen":        {binary("ce-my-ext", "x"), "", "my-ext"},
		"binary: a name with an underscore":   {binary("ce-my_ext", "x"), "", "my_ext"},
		"binary: broken UTF-8":                {binary("ce-subject", "%E2%82"), "", "subject"},
		"binary: a line break":                {binary("ce-ext", "a%0D%0Ab"), "", "ext"},
		"binary: C1 control character":        {binary("ce-ext", "%C2%85"), "", "ext"},
		"binary: no character":                {binary("ce-ext", "%EF%BF%BF"), "", "ext"},
		"binary: a surrogate":                 {binary("ce-ext", "%ED%A0%80"), "", "ext"},
		"binary: relative schema":             {binary("ce-dataschema", "/schema"), "", "dataschema"},
		"binary: a time without zone":         {binary("ce-time", "2018-04-05T17:31:00"), "", "time"},
		"binary: broken media type":           {binary("Content-Type", "a/b/c"), "x", "datacontenttype"},
		"binary: own extension":               {binary("ce-salvorchain", "x"), "", "salvorchain"},
		"batch: an object":                    {map[string]string{"Content-Type": typeBatch}, start + "}", ""},
		"batch: an array in the array":        {map[string]string{"Content-Type": typeBatch}, "[[" + start + "}]]", ""},
		"batch: null":                         {map[string]string{"Content-Type": typeBatch}, "null", ""},
		"structured: an array":                {map[string]string{"Content-Type": typeStructured}, "[" + start + "}]", ""},
		"structured: nothing":                 {map[string]string{"Content-Type": typeStructured}, "", ""},
		"structured: not UTF-8":               {map[string]string{"Content-Type": typeStructured}, start + ",\"ext\":\"\xff\"}", ""},
		"structured: two objects":             {map[string]string{"Content-Type": typeStructured}, start + "}" + start + "}", ""},
		"structured: rest behind":             {map[string]string{"Content-Type": typeStructured}, start + "} x", ""},
	}
	for name, c := range map[string]struct{ rest, attribute string }{
		"integer of 33 bits":          {`,"ext":2147483648`, "ext"},
		"a fraction":                  {`,"ext":1.0`, "ext"},
		"an exponent":                 {`,"ext":1e2`, "ext"},
		"an object":                   {`,"ext":{}`, "ext"},
		"an array":                    {`,"ext":[]`, "ext"},
		"a control character":         {`,"ext":"\u0000"`, "ext"},
		"DEL":                         {`,"ext":"\u007f"`, "ext"},
		"no character":                {`,"ext":"\ufdd0"`, "ext"},
		"the last of a plane":         {`,"ext":"\ud83f\udffe"`, "ext"},
		"half a surrogate pair":       {`,"ext":"\ud83d"`, "ext"},
		"the other half":              {`,"subject":"\ude00 x"`, "subject"},
		"halves the wrong way round":  {`,"ext":"\ude00\ud83d"`, "ext"},
		"half a pair before a letter": {`,"ext":"\ud83dA"`, "ext"},
		"a name in upper case":        {`,"myExt":"x"`, "myExt"},
		"a name with a hyphen":        {`,"my-ext":"x"`, "my-ext"},
		"an empty name":               {`,"":"x"`, ""},
		"a member twice":              {`,"ext":"a","ext":"b"`, "ext"},
		"a required member twice":     {`,"id":"b"`, "id"},
		"data twice":                  {`,"data":1,"data":2`, "data"},
		"an empty subject":            {`,"subject":""`, "subject"},
		"an empty time":               {`,"time":""`, "time"},
		"an empty schema":             {`,"dataschema":""`, "dataschema"},
		"an empty datacontenttype":    {`,"datacontenttype":""`, "datacontenttype"},
		"a subject that is a number":  {`,"subject":5`, "subject"},
		"a relative schema":           {`,"dataschema":"/schema"`, "dataschema"},
		"a time without seconds":      {`,"time":"2018-04-05T17:31Z"`, "time"},
		"a time without zone":         {`,"time":"2018-04-05T17:31:00"`, "time"},
		"a time with a comma":         {`,"time":"2018-04-05T17:31:00,5Z"`, "time"},
		"a time with a space":         {`,"time":"2018-04-05 17:31:00Z"`, "time"},
		"a time of hour 25":           {`,"time":"2018-04-05T25:31:00Z"`, "time"},
		"the 30th of February":        {`,"time":"2018-02-30T17:31:00Z"`, "time"},
		"a broken media type":         {`,"datacontenttype":"text"  ,"data":"x","dataschema":"a"`, "dataschema"},
		"text that is an object":      {`,"datacontenttype":"text/xml","data":{"a":1}`, "data"},
		"data and data_base64":        {`,"data":"a","data_base64":"YQ=="`, "data_base64"},
		"base64 of the URL alphabet":  {`,"data_base64":"AAH_"`, "data_base64"},
		"base64 without padding":      {`,"data_base64":"YQ"`, "data_base64"},
		"data_base64 that is a list":  {`,"data_base64":["YQ=="]`, "data_base64"},
		"own extension":               {`,"salvorx":1`, "salvorx"},
	} {
		header, body := structured(c.rest)
		cases["structured: "+name] = refused{header, body, c.attribute}
	}
	for name, c := range map[string]struct{ from, to, attribute string }{
		"a source with a space":    {"/mycontext", "/my context", "source"},
		"a source with an umlaut":  {"/mycontext", "/größe", "source"},
		"a source half encoded":    {"/mycontext", "/a%2", "source"},
		"an empty source":          {"/mycontext", "", "source"},
		"an empty type":            {"com.example.someevent", "", "type"},
		"a blank id":               {"A234-1234-1234", " ", "id"},
		"another version":          {`"1.0"`, `"1.0.2"`, "specversion"},
		"a version that is number": {`"1.0"`, `1.0`, "specversion"},
	} {
		cases["structured: "+name] = refused{map[string]string{"Content-Type": typeStructured}, strings.Replace(start, c.from, c.to, 1) + "}", c.attribute}
	}
	e := newEndpoint(t, nil)
	before := len(e.stored())
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			code, _, body := e.post("/events", c.header, c.body)
			assert.Equal(t, http.StatusBadRequest, code, body)
			assert.Contains(t, body, `"reason":"malformed"`)
			if c.attribute != "" {
				assert.Contains(t, body, fmt.Sprintf("%q:%q", "attribute", c.attribute))
			}
		})
	}
	assert.Len(t, e.stored(), before, "nothing of it is stored")
}

// A whole batch is refused for one event, which is named.
func TestBatchIsTakenWhole(t *testing.T) {
	e := newEndpoint(t, nil)
	code, _, body := e.post("/events", map[string]string{"Content-Type": typeBatch}, "["+start+"},"+start+`,"time":"x"}]`)
	assert.Equal(t, http.StatusBadRequest, code)
	assert.Contains(t, body, `"event":1`)
	assert.Contains(t, body, `"attribute":"time"`)
	assert.Empty(t, e.stored())
}
