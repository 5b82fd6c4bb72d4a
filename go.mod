module github.com/tailor-os/tailor

go 1.26.3
