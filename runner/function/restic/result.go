package restic

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/salvor-io/salvor/api/event"
	"github.com/salvor-io/salvor/runner/function"
)

// shortID is how long restic's short ids are, which is what Kanister keeps.
const shortID = 8

// summary is what restic tells of a backup.
type summary struct {
	ID    string `json:"snapshot_id"`
	Files uint64 `json:"total_files_processed"`
	Bytes uint64 `json:"total_bytes_processed"`
	// Added is how much was added to the store; Packed, since restic 0.16, how much
	// that is compressed.
	Added  uint64  `json:"data_added"`
	Packed *uint64 `json:"data_added_packed"`
}

// take reads one value that a script published.
func take(values map[string]any, key string, into any) error {
	text, ok := values[key].(string)
	if !ok {
		return function.Errorf(event.ReasonOutput, "restic ended well, but the script did not say %s; does the image change what programs print?", key)
	}
	if err := json.Unmarshal([]byte(text), into); err != nil {
		return function.Errorf(event.ReasonOutput, "what restic said (%s) cannot be read: %w", key, err)
	}
	return nil
}

func backupOf(values map[string]any) (*summary, error) {
	var s summary
	if err := take(values, "summary", &s); err != nil {
		return nil, err
	}
	if len(s.ID) < shortID {
		return nil, function.Errorf(event.ReasonOutput, "restic named no snapshot")
	}
	s.ID = s.ID[:shortID]
	return &s, nil
}

// outputs of BackupData and CopyVolumeData.
func (s *summary) outputs(tag string) map[string]any {
	added := s.Added
	if s.Packed != nil {
		added = *s.Packed
	}
	return map[string]any{
		"backupID": s.ID, "backupTag": tag, "version": version,
		"fileCount": strconv.FormatUint(s.Files, 10), "size": formatSize(s.Bytes), "phySize": formatSize(added),
	}
}

// statsOutputs are those of BackupDataStats.
func statsOutputs(values map[string]any, mode string) (map[string]any, error) {
	var s struct {
		Size  uint64 `json:"total_size"`
		Files uint64 `json:"total_file_count"`
		Blobs uint64 `json:"total_blob_count"`
	}
	if err := take(values, "stats", &s); err != nil {
		return nil, err
	}
	count := s.Files
	if mode == "raw-data" { // there are no files in it
		count = s.Blobs
	}
	return map[string]any{"mode": mode, "fileCount": strconv.FormatUint(count, 10), "size": formatSize(s.Size), "version": version}, nil
}

// checkOutputs are those of CheckRepository.
func checkOutputs(values map[string]any) (map[string]any, error) {
	state, _ := values["repository"].(string)
	switch state {
	case "open", "absent", "locked":
	default:
		return nil, function.Errorf(event.ReasonOutput, "the script did not say what it found")
	}
	return map[string]any{
		"passwordIncorrect": strconv.FormatBool(state == "locked"),
		"repoUnavailable":   strconv.FormatBool(state == "absent"),
		"version":           version,
	}, nil
}

// freedOutputs are those of DeleteData and DeleteDataAll.
func freedOutputs(values map[string]any) (map[string]any, error) {
	text, ok := values["freed"].(string)
	if !ok {
		return nil, function.Errorf(event.ReasonOutput, "the script did not say that it was done")
	}
	var sum uint64
	for size := range strings.SplitSeq(text, ";") {
		sum += parseSize(size)
	}
	return map[string]any{"spaceFreed": fmt.Sprintf("%d B", sum)}, nil
}

// units of restic, largest first.
func units() []string { return []string{"TiB", "GiB", "MiB", "KiB"} }

// formatSize writes a size as restic does.
func formatSize(bytes uint64) string {
	factor := math.Pow(1024, float64(len(units())))
	for _, unit := range units() {
		if float64(bytes) >= factor {
			return fmt.Sprintf("%.3f %s", float64(bytes)/factor, unit)
		}
		factor /= 1024
	}
	return fmt.Sprintf("%d B", bytes)
}

// parseSize reads what formatSize writes, 0 for anything else.
func parseSize(text string) uint64 {
	number, unit, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 {
		return 0
	}
	factor := math.Pow(1024, float64(len(units())))
	for _, u := range units() {
		if unit == u {
			return uint64(n * factor)
		}
		factor /= 1024
	}
	return uint64(n)
}
