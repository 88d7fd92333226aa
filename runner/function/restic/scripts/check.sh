# check: says whether the repository is there and opens.
code=0
look || code=$?
case $code in
0) emit repository open ;;
2) emit repository absent ;;
3) emit repository locked ;;
*) fail "$said" ;;
esac
